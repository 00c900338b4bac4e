import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.Properties;
import java.util.Scanner;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Produces a notification for each line "notification_id user_id type" of standard input with Kafka's own client and no
 * setting but the address: java -cp ... Producer.java bootstrap topic fingerprint. Prints "partition offset" for each.
 */
public class Producer {
    static final ByteArrayOutputStream out = new ByteArrayOutputStream();

    // Avro: zigzag, then seven bits a byte, the lowest first.
    static void writeLong(long value) {
        long bits = (value << 1) ^ (value >> 63);
        for (; (bits & ~0x7fL) != 0; bits >>>= 7) out.write((int) (bits & 0x7f | 0x80));
        out.write((int) bits);
    }

    static void writeString(String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        writeLong(bytes.length);
        out.writeBytes(bytes);
    }

    // The fields in the order of notification.avsc.
    static byte[] notification(String fingerprint, String id, String user, String type) {
        out.reset();
        out.writeBytes(HexFormat.of().parseHex("c301" + fingerprint));
        writeString(id);
        writeString(user);
        writeString(type);
        writeLong(System.currentTimeMillis()); // created_at
        // send_at, expires_at, send_at_local, time_zone, title, body: the first branch
        for (int nulls = 0; nulls < 6; nulls++) writeLong(0);
        writeLong(1); // data: a block of one entry, then the end
        writeString("order");
        writeString(id);
        writeLong(0);
        return out.toByteArray();
    }

    public static void main(String[] arguments) throws Exception {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", arguments[0]);
        ByteArraySerializer bytes = new ByteArraySerializer();
        Scanner lines = new Scanner(System.in, StandardCharsets.UTF_8);
        try (var producer = new KafkaProducer<byte[], byte[]>(properties, bytes, bytes)) {
            while (lines.hasNextLine()) {
                String[] parts = lines.nextLine().split(" ");
                byte[] key = (parts[1] + ":" + parts[2]).getBytes(StandardCharsets.UTF_8);
                byte[] value = notification(arguments[2], parts[0], parts[1], parts[2]);
                var stored = producer.send(new ProducerRecord<>(arguments[1], key, value)).get();
                System.out.println(stored.partition() + " " + stored.offset());
            }
        }
    }
}
