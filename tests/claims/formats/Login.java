import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.util.Properties;

/** Connects with application.properties as it is published; prints who is logged in, and where. */
public final class Login {
    public static void main(String[] arguments) throws Exception {
        Properties properties = new Properties();
        try (InputStream file = Files.newInputStream(Path.of(arguments[0]))) {
            properties.load(file);
        }
        String url = resolved(properties, "url");
        String username = resolved(properties, "username");
        String password = resolved(properties, "password");
        try (Connection connection = DriverManager.getConnection(url, username, password);
                ResultSet rows = connection.createStatement().executeQuery(arguments[1])) {
            rows.next();
            System.out.println(rows.getString(1));
        }
    }

    /** What Spring makes of it: a placeholder without a name is its default. */
    private static String resolved(Properties properties, String name) {
        String value = properties.getProperty("spring.datasource." + name);
        return value.replaceAll("\\$\\{:(.)}", "$1");
    }
}
