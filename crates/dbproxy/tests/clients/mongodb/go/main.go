// The official Go driver, told nothing but a URI; see README.md of the folder above.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/connstring"
)

const (
	documents = 200
	pause     = 25 * time.Millisecond
)

type application struct {
	client                     *mongo.Client
	uri, database              string
	orders, inserted, counters *mongo.Collection
}

func connect(uri string) (*application, error) {
	parsed, err := connstring.ParseAndValidate(uri)
	if err != nil {
		return nil, err
	}
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		return nil, err
	}
	database := client.Database(parsed.Database)
	return &application{
		client:   client,
		uri:      uri,
		database: parsed.Database,
		orders:   database.Collection("go_orders"),
		inserted: database.Collection("go_inserted"),
		counters: database.Collection("go_counters"),
	}, nil
}

// prepare returns a change stream from before the first insert on.
func (a *application) prepare(ctx context.Context) (*mongo.ChangeStream, error) {
	numbers := make([]any, documents)
	for n := range numbers {
		numbers[n] = bson.D{{Key: "n", Value: n}}
	}
	if _, err := a.orders.InsertMany(ctx, numbers); err != nil {
		return nil, err
	}
	for _, name := range []string{"transactions", "twice", "writes"} {
		counter := bson.D{{Key: "_id", Value: name}, {Key: "n", Value: 0}}
		if _, err := a.counters.InsertOne(ctx, counter); err != nil {
			return nil, err
		}
	}
	if err := a.client.Database(a.database).CreateCollection(ctx, "go_inserted"); err != nil {
		return nil, err
	}
	return a.inserted.Watch(ctx, mongo.Pipeline{})
}

func named(name string) bson.D {
	return bson.D{{Key: "_id", Value: name}}
}

func plus(number int) bson.D {
	return bson.D{{Key: "$inc", Value: bson.D{{Key: "n", Value: number}}}}
}

func (a *application) insert(ctx context.Context) error {
	text := bson.D{{Key: "text", Value: strings.Repeat("x", 100)}}
	_, err := a.inserted.InsertOne(ctx, text)
	return err
}

func (a *application) find(ctx context.Context) error {
	cursor, err := a.orders.Find(ctx, bson.D{}, options.Find().SetBatchSize(2))
	if err != nil {
		return err
	}
	defer cursor.Close(ctx)
	count := 0
	for cursor.Next(ctx) {
		count++
	}
	if cursor.Err() == nil && count != documents {
		return fmt.Errorf("%d documents", count)
	}
	return cursor.Err()
}

func (a *application) aggregate(ctx context.Context) error {
	match := bson.D{{Key: "$match", Value: bson.M{"n": bson.M{"$gte": 0}}}}
	group := bson.D{{Key: "$group", Value: bson.M{"_id": nil, "sum": bson.M{"$sum": "$n"}}}}
	cursor, err := a.orders.Aggregate(ctx, mongo.Pipeline{match, group})
	if err != nil {
		return err
	}
	var groups []struct{ Sum int }
	if err := cursor.All(ctx, &groups); err != nil {
		return err
	}
	if len(groups) != 1 || groups[0].Sum != documents*(documents-1)/2 {
		return fmt.Errorf("the sum is %v", groups)
	}
	return nil
}

func (a *application) transact(ctx context.Context) error {
	session, err := a.client.StartSession()
	if err != nil {
		return err
	}
	defer session.EndSession(ctx)
	_, err = session.WithTransaction(ctx, func(ctx context.Context) (any, error) {
		if err := a.counters.FindOne(ctx, named("transactions")).Err(); err != nil {
			return nil, err
		}
		if _, err := a.counters.UpdateOne(ctx, named("transactions"), plus(1)); err != nil {
			return nil, err
		}
		return a.counters.UpdateOne(ctx, named("twice"), plus(2))
	})
	return err
}

func (a *application) write(ctx context.Context) error {
	if _, err := a.counters.UpdateOne(ctx, named("writes"), plus(1)); err != nil {
		return err
	}
	if err := a.counters.FindOneAndUpdate(ctx, named("writes"), plus(1)).Err(); err != nil {
		return err
	}
	update := mongo.NewUpdateOneModel().SetFilter(named("writes")).SetUpdate(plus(1))
	_, err := a.counters.BulkWrite(ctx, []mongo.WriteModel{update})
	return err
}

func (a *application) newcomer(ctx context.Context) error {
	another, err := connect(a.uri)
	if err != nil {
		return err
	}
	found := another.orders.FindOne(ctx, bson.D{{Key: "n", Value: 7}}).Err()
	return errors.Join(found, another.client.Disconnect(ctx))
}

// totals is what is printed.
type totals struct {
	Done    map[string]int `json:"done"`
	Failed  map[string]int `json:"failed"`
	Failure *string        `json:"failure"`
	guard   sync.Mutex
}

func (t *totals) note(kind string, err error) {
	t.guard.Lock()
	defer t.guard.Unlock()
	if err == nil {
		t.Done[kind]++
		return
	}
	t.Failed[kind]++
	if t.Failure == nil {
		text := kind + ": " + err.Error()
		t.Failure = &text
	}
}

func (t *totals) report() (allTold bool) {
	t.guard.Lock()
	defer t.guard.Unlock()
	line, _ := json.Marshal(t)
	fmt.Println(string(line))
	return t.Done["events"] >= t.Done["inserts"]
}

func (t *totals) repeat(kind string, ended *atomic.Bool, work func(context.Context) error) {
	for !ended.Load() {
		err := work(context.Background())
		t.note(kind, err)
		if err != nil {
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(pause)
	}
}

func (t *totals) follow(ctx context.Context, inserted *mongo.Collection, stream *mongo.ChangeStream) {
	for {
		for stream != nil && stream.Next(ctx) {
			t.note("events", nil)
		}
		if stream != nil {
			t.note("events", fmt.Errorf("the stream has ended: %w", stream.Err()))
		}
		time.Sleep(100 * time.Millisecond)
		var err error
		if stream, err = inserted.Watch(ctx, mongo.Pipeline{}); err != nil {
			t.note("events", err)
		}
	}
}

func main() {
	ctx := context.Background()
	app, err := connect(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	stream, err := app.prepare(ctx)
	if err != nil {
		log.Fatal(err)
	}
	var ended atomic.Bool
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		ended.Store(true)
	}()
	works := map[string]func(context.Context) error{
		"inserts":      app.insert,
		"finds":        app.find,
		"aggregations": app.aggregate,
		"transactions": app.transact,
		"writes":       app.write,
		"clients":      app.newcomer,
	}
	all := &totals{Done: map[string]int{"events": 0}, Failed: map[string]int{"events": 0}}
	for kind := range works {
		all.Done[kind], all.Failed[kind] = 0, 0
	}
	go all.follow(ctx, app.inserted, stream)
	var workers sync.WaitGroup
	for kind, work := range works {
		workers.Go(func() { all.repeat(kind, &ended, work) })
	}
	finished := make(chan struct{})
	go func() {
		workers.Wait()
		close(finished)
	}()
	for isOver := false; !isOver; {
		select {
		case <-finished:
			isOver = true
		case <-time.After(100 * time.Millisecond):
			all.report()
		}
	}
	// The stream goes on until it has told of each insert.
	for deadline := time.Now().Add(time.Minute); !all.report() && time.Now().Before(deadline); {
		time.Sleep(100 * time.Millisecond)
	}
}
