// pgx through dbproxy; see README.md of the folder above.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

const statements = 8

type counts struct {
	Queries     int     `json:"queries"`
	Prepared    int     `json:"prepared"`
	Connections int     `json:"connections"`
	Failures    int     `json:"failures"`
	Failure     *string `json:"failure"`
}

var totals counts

func connect(ctx context.Context) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig("host=127.0.0.1 user=anybody dbname=anywhere connect_timeout=30 port=" + os.Args[1])
	if err != nil {
		return nil, err
	}
	config.StatementCacheCapacity = 4
	connection, err := pgx.ConnectConfig(ctx, config)
	if err == nil {
		totals.Connections++
	}
	return connection, err
}

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func ask(ctx context.Context, to querier, number int, prepare bool) error {
	offset := number % statements
	mode := pgx.QueryExecModeExec
	if prepare {
		mode = pgx.QueryExecModeCacheStatement
	}
	var sum int
	sql := fmt.Sprintf("SELECT $1::int + %d", offset)
	if err := to.QueryRow(ctx, sql, mode, number).Scan(&sum); err != nil {
		return err
	}
	if sum != number+offset {
		return fmt.Errorf("asked for %d, got %d", number+offset, sum)
	}
	totals.Queries++
	if prepare {
		totals.Prepared++
	}
	return nil
}

func play(ctx context.Context, staying *pgx.Conn, number int) error {
	for step := range 10 {
		for _, prepare := range []bool{false, true} {
			if err := ask(ctx, staying, number+step, prepare); err != nil {
				return err
			}
		}
	}
	err := pgx.BeginFunc(ctx, staying, func(transaction pgx.Tx) error {
		if err := ask(ctx, transaction, number, true); err != nil {
			return err
		}
		return ask(ctx, transaction, number+1, true)
	})
	if err != nil {
		return err
	}
	connection, err := connect(ctx)
	if err != nil {
		return err
	}
	defer connection.Close(ctx)
	return ask(ctx, connection, number, true)
}

func main() {
	var ended atomic.Bool
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		ended.Store(true)
	}()
	ctx := context.Background()
	var staying *pgx.Conn
	for number := 0; !ended.Load(); number++ {
		var err error
		if staying == nil {
			staying, err = connect(ctx)
		}
		if err == nil {
			err = play(ctx, staying, number)
		}
		if err != nil {
			totals.Failures++
			if totals.Failure == nil {
				text := err.Error()
				totals.Failure = &text
			}
			staying = nil
			time.Sleep(100 * time.Millisecond)
		}
		line, _ := json.Marshal(totals)
		fmt.Println(string(line))
	}
}
