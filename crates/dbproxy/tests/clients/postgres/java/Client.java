import java.io.IOException;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.concurrent.atomic.AtomicBoolean;

/** pgjdbc through dbproxy; see README.md of the folder above. */
public final class Client {
    private static final int STATEMENTS = 8;
    private static String url;
    private static long queries;
    private static long prepared;
    private static long connections;
    private static long failures;
    private static String failure;

    public static void main(String[] arguments) throws Exception {
        url = "jdbc:postgresql://127.0.0.1:" + arguments[0]
            + "/anywhere?user=anybody&password=anything&connectTimeout=30"
            + "&preparedStatementCacheQueries=4";
        AtomicBoolean ended = new AtomicBoolean();
        Thread input = new Thread(() -> {
            try {
                System.in.readAllBytes();
            } catch (IOException error) {
                // The end, too.
            }
            ended.set(true);
        });
        input.setDaemon(true);
        input.start();
        Connection staying = null;
        for (int number = 0; !ended.get(); number++) {
            try {
                staying = staying == null ? connect() : staying;
                play(staying, number);
            } catch (SQLException | IllegalStateException error) {
                failures++;
                failure = failure == null ? error.toString() : failure;
                staying = null;
                Thread.sleep(100);
            }
            System.out.println(totals());
        }
        System.exit(0);
    }

    private static Connection connect() throws SQLException {
        Connection connection = DriverManager.getConnection(url);
        connections++;
        return connection;
    }

    private static void play(Connection staying, int number) throws SQLException {
        for (int step = 0; step < 10; step++) {
            ask(staying, number + step, false);
            ask(staying, number + step, true);
        }
        staying.setAutoCommit(false);
        ask(staying, number, true);
        ask(staying, number + 1, true);
        staying.commit();
        staying.setAutoCommit(true);
        try (Connection connection = connect()) {
            ask(connection, number, true);
        }
    }

    private static void ask(Connection connection, int number, boolean prepare) throws SQLException {
        int offset = number % STATEMENTS;
        String sql = "SELECT ?::int + " + offset;
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            // 1: prepared on the server from the first use; 0: never.
            statement.unwrap(org.postgresql.PGStatement.class).setPrepareThreshold(prepare ? 1 : 0);
            statement.setInt(1, number);
            try (ResultSet rows = statement.executeQuery()) {
                rows.next();
                if (rows.getInt(1) != number + offset) {
                    throw new IllegalStateException("wrong answer " + rows.getInt(1));
                }
            }
        }
        queries++;
        prepared += prepare ? 1 : 0;
    }

    private static String totals() {
        String text = "null";
        if (failure != null) {
            String plain = failure.replace("\\", "\\\\").replace("\"", "\\\"");
            text = '"' + plain.replaceAll("\\p{Cntrl}", " ") + '"';
        }
        return String.format(
            "{\"queries\":%d,\"prepared\":%d,\"connections\":%d,\"failures\":%d,\"failure\":%s}",
            queries, prepared, connections, failures, text);
    }
}
