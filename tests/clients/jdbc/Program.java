// Runs a plan of statements through ClickHouse's JDBC driver: JSON in, JSON out. See tests/clients/programs.py.

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.sql.Array;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.Date;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.Statement;
import java.sql.Struct;
import java.sql.Timestamp;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;

public class Program {
    static final Gson GSON = new GsonBuilder().serializeNulls().serializeSpecialFloatingPointValues().create();

    public static void main(String[] arguments) throws Exception {
        JsonObject plan = GSON.fromJson(new InputStreamReader(System.in, StandardCharsets.UTF_8), JsonObject.class);
        Properties properties = new Properties();
        properties.setProperty("user", plan.get("user").getAsString());
        properties.setProperty("password", plan.get("password").getAsString());
        for (Map.Entry<String, JsonElement> one : plan.getAsJsonObject("properties").entrySet()) {
            properties.setProperty(one.getKey(), one.getValue().getAsString());
        }
        String url = "jdbc:clickhouse://" + plan.get("address").getAsString() + "/" + plan.get("database").getAsString();
        List<Object> results = new ArrayList<>();
        Connection connection = null;
        for (JsonElement step : plan.getAsJsonArray("steps")) {
            Map<String, Object> result = new LinkedHashMap<>();
            result.put("columns", List.of());
            result.put("rows", List.of());
            try {
                if (connection == null) {
                    connection = DriverManager.getConnection(url, properties);
                }
                run(connection, step.getAsJsonObject(), result);
            } catch (Exception error) {
                StringBuilder told = new StringBuilder();
                for (Throwable cause = error; cause != null; cause = cause.getCause()) {
                    told.append(cause).append('\n');
                }
                result.put("error", told.toString());
            }
            results.add(result);
        }
        System.out.println(GSON.toJson(results));
        System.exit(0);
    }

    static void run(Connection connection, JsonObject step, Map<String, Object> result) throws Exception {
        switch (step.get("do").getAsString()) {
            case "insert" -> insert(connection, step);
            case "metadata" -> metadata(connection, result);
            case "prepared" -> {
                try (PreparedStatement statement = connection.prepareStatement(step.get("sql").getAsString())) {
                    int place = 1;
                    for (JsonElement value : step.getAsJsonArray("values")) {
                        if (value.getAsJsonPrimitive().isNumber()) {
                            statement.setLong(place++, value.getAsLong());
                        } else {
                            statement.setString(place++, value.getAsString());
                        }
                    }
                    try (ResultSet rows = statement.executeQuery()) {
                        read(rows, result);
                    }
                }
            }
            default -> {
                try (Statement statement = connection.createStatement();
                        ResultSet rows = statement.executeQuery(step.get("sql").getAsString())) {
                    read(rows, result);
                }
            }
        }
    }

    static void insert(Connection connection, JsonObject step) throws Exception {
        try (PreparedStatement statement = connection.prepareStatement(step.get("sql").getAsString())) {
            for (JsonElement row : step.getAsJsonArray("rows")) {
                var values = row.getAsJsonArray();
                statement.setLong(1, values.get(0).getAsLong());
                statement.setString(2, values.get(1).getAsString());
                statement.setTimestamp(3, new Timestamp((long) (values.get(2).getAsDouble() * 1000)));
                List<String> words = new ArrayList<>();
                values.get(3).getAsJsonArray().forEach(word -> words.add(word.getAsString()));
                statement.setObject(4, words);
                statement.addBatch();
            }
            statement.executeBatch();
        }
    }

    /** What DBeaver and Metabase ask about a database before they show it. */
    static void metadata(Connection connection, Map<String, Object> result) throws Exception {
        DatabaseMetaData about = connection.getMetaData();
        String schema = connection.getSchema();
        List<List<Object>> rows = new ArrayList<>();
        rows.add(List.of("product", about.getDatabaseProductName(), about.getDatabaseProductVersion()));
        collect(rows, "catalog", about.getCatalogs(), 1);
        collect(rows, "schema", about.getSchemas(), 1);
        collect(rows, "table type", about.getTableTypes(), 1);
        collect(rows, "type", about.getTypeInfo(), 1);
        collect(rows, "function", about.getFunctions(null, null, "%"), 3);
        collect(rows, "table", about.getTables(null, schema, "%", null), 3, 4);
        collect(rows, "view", about.getTables(null, schema, "v\\_%", new String[] {"VIEW"}), 3);
        collect(rows, "column", about.getColumns(null, schema, "v\\_%", "%"), 3, 4, 5, 6);
        collect(rows, "primary key", about.getPrimaryKeys(null, schema, "events"), 3, 4);
        collect(rows, "imported key", about.getImportedKeys(null, schema, "events"), 3);
        collect(rows, "exported key", about.getExportedKeys(null, schema, "events"), 3);
        collect(rows, "index", about.getIndexInfo(null, schema, "events", false, true), 3);
        rows.add(List.of("read only", connection.isReadOnly()));
        rows.add(List.of("valid", connection.isValid(5)));
        result.put("rows", rows);
    }

    static void collect(List<List<Object>> into, String what, ResultSet rows, int... columns) throws Exception {
        try (rows) {
            while (rows.next()) {
                List<Object> row = new ArrayList<>();
                row.add(what);
                for (int column : columns) {
                    row.add(rows.getString(column));
                }
                into.add(row);
            }
        }
    }

    static void read(ResultSet rows, Map<String, Object> result) throws Exception {
        ResultSetMetaData about = rows.getMetaData();
        List<String> columns = new ArrayList<>();
        for (int i = 1; i <= about.getColumnCount(); i++) {
            columns.add(about.getColumnLabel(i));
        }
        List<List<Object>> all = new ArrayList<>();
        while (rows.next()) {
            List<Object> row = new ArrayList<>();
            for (int i = 1; i <= about.getColumnCount(); i++) {
                row.add(shown(rows.getObject(i)));
            }
            all.add(row);
        }
        result.put("columns", columns);
        result.put("rows", all);
    }

    /** Makes a value comparable: times are seconds, days are YYYY-MM-DD, what JSON has no word for is text. */
    static Object shown(Object value) throws Exception {
        if (value instanceof Timestamp time) {
            return time.getTime() / 1000.0;
        } else if (value instanceof ZonedDateTime time) {
            return time.toInstant().toEpochMilli() / 1000.0;
        } else if (value instanceof OffsetDateTime time) {
            return time.toInstant().toEpochMilli() / 1000.0;
        } else if (value instanceof LocalDateTime time) {
            return time.toInstant(ZoneOffset.UTC).toEpochMilli() / 1000.0;
        } else if (value instanceof Date || value instanceof LocalDate) {
            return value.toString();
        } else if (value instanceof InetAddress address) {
            return address.getHostAddress();
        } else if (value instanceof Array array) {
            return shown(array.getArray());
        } else if (value instanceof Struct struct) {
            return shown(struct.getAttributes());
        } else if (value instanceof List<?> list) {
            return shown(list.toArray());
        } else if (value instanceof Map<?, ?> map) {
            Map<String, Object> pairs = new LinkedHashMap<>();
            for (Map.Entry<?, ?> pair : map.entrySet()) {
                pairs.put(String.valueOf(pair.getKey()), shown(pair.getValue()));
            }
            return pairs;
        } else if (value != null && value.getClass().isArray()) {
            List<Object> list = new ArrayList<>();
            for (int i = 0; i < java.lang.reflect.Array.getLength(value); i++) {
                list.add(shown(java.lang.reflect.Array.get(value, i)));
            }
            return list;
        } else if (value == null || value instanceof Number || value instanceof Boolean) {
            return value;
        }
        return value.toString();
    }
}
