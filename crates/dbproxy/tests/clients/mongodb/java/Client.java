import com.mongodb.client.ClientSession;
import com.mongodb.client.MongoClient;
import com.mongodb.client.MongoClients;
import com.mongodb.client.MongoCollection;
import com.mongodb.client.MongoCursor;
import com.mongodb.client.MongoDatabase;
import com.mongodb.client.model.Accumulators;
import com.mongodb.client.model.Aggregates;
import com.mongodb.client.model.Filters;
import com.mongodb.client.model.UpdateOneModel;
import com.mongodb.client.model.Updates;
import com.mongodb.client.model.changestream.ChangeStreamDocument;
import com.mongodb.ConnectionString;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.IntStream;
import org.bson.Document;
import org.bson.conversions.Bson;

/** The Java sync driver, told nothing but a URI; see README.md of the folder above. */
public final class Client {
    private static final List<String> KINDS = List.of(
        "inserts", "finds", "aggregations", "transactions", "writes", "clients", "events");
    private static final int EVENTS = 6;
    private static final int DOCUMENTS = 200;
    private static final int PAUSE_MS = 25;
    private static final AtomicBoolean ended = new AtomicBoolean();
    private static final long[] done = new long[KINDS.size()];
    private static final long[] failed = new long[KINDS.size()];
    private static String failure;

    private static ConnectionString uri;
    private static MongoClient client;
    private static MongoCollection<Document> orders;
    private static MongoCollection<Document> inserted;
    private static MongoCollection<Document> counters;

    private interface Work {
        void run() throws Exception;
    }

    public static void main(String[] arguments) throws Exception {
        uri = new ConnectionString(arguments[0]);
        client = MongoClients.create(uri);
        MongoDatabase database = client.getDatabase(uri.getDatabase());
        orders = database.getCollection("java_orders");
        inserted = database.getCollection("java_inserted");
        counters = database.getCollection("java_counters");
        orders.insertMany(
            IntStream.range(0, DOCUMENTS).mapToObj(n -> new Document("n", n)).toList());
        for (String name : List.of("transactions", "twice", "writes")) {
            counters.insertOne(new Document("_id", name).append("n", 0L));
        }
        database.createCollection("java_inserted");
        // From before the first insert on.
        var stream = inserted.watch().cursor();
        start(() -> follow(stream));
        start(Client::waitForTheEnd);
        List<Work> works = List.of(
            Client::insert, Client::find, Client::aggregate, Client::transact, Client::write,
            Client::newcomer);
        List<Thread> workers = new ArrayList<>();
        for (int kind = 0; kind < works.size(); kind++) {
            int number = kind;
            workers.add(start(() -> repeat(number, works.get(number))));
        }
        while (workers.stream().anyMatch(Thread::isAlive)) {
            report();
            Thread.sleep(100);
        }
        // The stream goes on until it has told of each insert.
        long deadline = System.nanoTime() + 60_000_000_000L;
        while (!allTold() && System.nanoTime() < deadline) {
            report();
            Thread.sleep(100);
        }
        report();
        System.exit(0);
    }

    private static Thread start(Runnable work) {
        Thread thread = new Thread(work);
        // A main thread that fails ends the program.
        thread.setDaemon(true);
        thread.start();
        return thread;
    }

    private static void waitForTheEnd() {
        try {
            System.in.readAllBytes();
        } catch (IOException error) {
            // The end, too.
        }
        ended.set(true);
    }

    private static void ensure(boolean isSo, String text) {
        if (!isSo) {
            throw new IllegalStateException(text);
        }
    }

    private static void insert() {
        inserted.insertOne(new Document("text", "x".repeat(100)));
    }

    private static void find() {
        int count = 0;
        try (MongoCursor<Document> cursor = orders.find().batchSize(2).cursor()) {
            for (; cursor.hasNext(); cursor.next()) {
                count++;
            }
        }
        ensure(count == DOCUMENTS, count + " documents");
    }

    private static void aggregate() {
        List<Bson> stages = Arrays.asList(
            Aggregates.match(Filters.gte("n", 0)),
            Aggregates.group(null, Accumulators.sum("sum", "$n")));
        int sum = orders.aggregate(stages).first().getInteger("sum");
        ensure(sum == DOCUMENTS * (DOCUMENTS - 1) / 2, "the sum is " + sum);
    }

    private static void transact() {
        try (ClientSession session = client.startSession()) {
            session.withTransaction(() -> {
                Bson one = Filters.eq("_id", "transactions");
                ensure(counters.find(session, one).first() != null, "no counter");
                counters.updateOne(session, one, Updates.inc("n", 1));
                counters.updateOne(session, Filters.eq("_id", "twice"), Updates.inc("n", 2));
                return null;
            });
        }
    }

    private static void write() {
        Bson one = Filters.eq("_id", "writes");
        counters.updateOne(one, Updates.inc("n", 1));
        ensure(counters.findOneAndUpdate(one, Updates.inc("n", 1)) != null, "no counter");
        counters.bulkWrite(List.of(new UpdateOneModel<>(one, Updates.inc("n", 1))));
    }

    private static void newcomer() {
        try (MongoClient another = MongoClients.create(uri)) {
            MongoDatabase database = another.getDatabase(uri.getDatabase());
            Document found = database.getCollection("java_orders").find(Filters.eq("n", 7)).first();
            ensure(found != null, "no order");
        }
    }

    private static void repeat(int kind, Work work) {
        while (!ended.get()) {
            try {
                work.run();
                succeeded(kind);
            } catch (Exception error) {
                failed(kind, error);
                sleep(100);
            }
            sleep(PAUSE_MS);
        }
    }

    private static void follow(MongoCursor<ChangeStreamDocument<Document>> first) {
        for (var stream = first; ; ) {
            try {
                stream = stream == null ? inserted.watch().cursor() : stream;
                while (true) {
                    stream.next();
                    succeeded(EVENTS);
                }
            } catch (Exception error) {
                failed(EVENTS, error);
                stream = null;
                sleep(100);
            }
        }
    }

    private static void sleep(int milliseconds) {
        try {
            Thread.sleep(milliseconds);
        } catch (InterruptedException error) {
            throw new IllegalStateException(error);
        }
    }

    private static synchronized void succeeded(int kind) {
        done[kind]++;
    }

    private static synchronized void failed(int kind, Exception error) {
        failed[kind]++;
        failure = failure == null ? KINDS.get(kind) + ": " + error : failure;
    }

    private static synchronized boolean allTold() {
        return done[EVENTS] >= done[0];
    }

    private static synchronized void report() {
        Document totals = new Document("done", named(done)).append("failed", named(failed));
        System.out.println(totals.append("failure", failure).toJson());
    }

    private static Document named(long[] numbers) {
        Document named = new Document();
        for (int kind = 0; kind < numbers.length; kind++) {
            named.append(KINDS.get(kind), numbers[kind]);
        }
        return named;
    }
}
