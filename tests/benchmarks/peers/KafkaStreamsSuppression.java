// Suppression with Kafka Streams, as its documentation advises for a decision by key: the Processor API, a persistent
// store (RocksDB) with its changelog and a cache, one thread. Avro by Apache's own library, single-object encoding,
// generic records that are used again. Producers get larger batches than the defaults, which are for one request a
// record; everything else is the default of the guarantee.
//
//     java … KafkaStreamsSuppression BOOTSTRAP GROUP DIRECTORY NOTIFICATIONS OUTBOX STATUSES GUARANTEE SCHEMAS
//
// https://kafka.apache.org/43/streams/developer-guide/processor-api/, .../config-streams/, .../memory-mgmt/

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.message.BinaryMessageDecoder;
import org.apache.avro.message.BinaryMessageEncoder;
import org.apache.avro.util.Utf8;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.processor.api.RecordMetadata;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

public final class KafkaStreamsSuppression {
  static final long WINDOW_MS = 3_600_000, SEND_MS = 300_000;
  static final int BATCH_BYTES = 256 * 1024;

  static final class Suppress implements Processor<byte[], byte[], byte[], byte[]> {
    private final Schema notificationSchema, deliverySchema, statusSchema;
    private final GenericData.EnumSymbol admitted, suppressed;
    private final BinaryMessageDecoder<GenericRecord> events;
    private final BinaryMessageEncoder<GenericRecord> deliveries, statuses;
    private ProcessorContext<byte[], byte[]> context;
    private KeyValueStore<Bytes, byte[]> slots;
    private GenericRecord event;

    Suppress(Schema notification, Schema delivery, Schema status) {
      notificationSchema = notification;
      deliverySchema = delivery;
      statusSchema = status;
      Schema states = status.getField("state").schema();
      admitted = new GenericData.EnumSymbol(states, "ADMITTED");
      suppressed = new GenericData.EnumSymbol(states, "SUPPRESSED");
      events = new BinaryMessageDecoder<>(GenericData.get(), notificationSchema);
      deliveries = new BinaryMessageEncoder<>(GenericData.get(), deliverySchema);
      statuses = new BinaryMessageEncoder<>(GenericData.get(), statusSchema);
    }

    @Override
    public void init(ProcessorContext<byte[], byte[]> given) {
      context = given;
      slots = given.getStateStore("slots");
    }

    @Override
    public void process(Record<byte[], byte[]> record) {
      try {
        decide(record);
      } catch (IOException error) {
        throw new UncheckedIOException(error);
      }
    }

    private void decide(Record<byte[], byte[]> record) throws IOException {
      event = events.decode(ByteBuffer.wrap(record.value()), event);
      long now = System.currentTimeMillis();
      RecordMetadata origin = context.recordMetadata().orElseThrow();
      Bytes slot = Bytes.wrap(record.key());
      byte[] held = slots.get(slot);
      GenericRecord status = new GenericData.Record(statusSchema);
      status.put("notification_id", event.get("notification_id"));
      status.put("user_id", event.get("user_id"));
      status.put("type", event.get("type"));
      status.put("at", now);
      status.put("stage", "suppress");
      status.put("origin_partition", origin.partition());
      status.put("origin_offset", origin.offset());
      status.put("attempt", 0);
      if (held != null && ByteBuffer.wrap(held).getLong() > now) {
        status.put("state", suppressed);
        status.put("reason", "the slot is held");
        status.put("by_notification_id", new Utf8(Arrays.copyOfRange(held, 8, held.length)));
        status.put("until", ByteBuffer.wrap(held).getLong());
      } else {
        byte[] id = event.get("notification_id").toString().getBytes(StandardCharsets.UTF_8);
        slots.put(slot, ByteBuffer.allocate(8 + id.length).putLong(now + SEND_MS + WINDOW_MS).put(id).array());
        status.put("state", admitted);
        status.put("reason", "the window is free");
        status.put("until", now + SEND_MS);
        GenericRecord delivery = new GenericData.Record(deliverySchema);
        delivery.put("admitted_at", now);
        delivery.put("send_by", now + SEND_MS);
        delivery.put("attempt", 1);
        delivery.put("devices", List.of());
        delivery.put("origin_partition", origin.partition());
        delivery.put("origin_offset", origin.offset());
        delivery.put("notification", event);
        byte[] user = event.get("user_id").toString().getBytes(StandardCharsets.UTF_8);
        context.forward(record.withKey(user).withValue(bytes(deliveries.encode(delivery))), "outbox");
      }
      context.forward(record.withValue(bytes(statuses.encode(status))), "statuses");
    }

    private static byte[] bytes(ByteBuffer encoded) {
      byte[] copy = new byte[encoded.remaining()];
      encoded.get(copy);
      return copy;
    }
  }

  public static void main(String[] given) throws Exception {
    Schema.Parser parser = new Schema.Parser();
    Schema notification = parser.parse(Path.of(given[7], "notification.avsc").toFile());
    Schema delivery = parser.parse(Path.of(given[7], "delivery.avsc").toFile());
    Schema status = parser.parse(Path.of(given[7], "status.avsc").toFile());

    var reading = new ByteArrayDeserializer();
    var writing = new ByteArraySerializer();
    Topology topology = new Topology();
    topology.addSource("notifications", reading, reading, given[3]);
    topology.addProcessor("suppress", () -> new Suppress(notification, delivery, status), "notifications");
    topology.addStateStore(
        Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore("slots"), Serdes.Bytes(), Serdes.ByteArray())
            .withCachingEnabled(),
        "suppress");
    topology.addSink("outbox", given[4], writing, writing, "suppress");
    topology.addSink("statuses", given[5], writing, writing, "suppress");

    Properties options = new Properties();
    options.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, given[0]);
    options.put(StreamsConfig.APPLICATION_ID_CONFIG, given[1]);
    options.put(StreamsConfig.STATE_DIR_CONFIG, given[2]);
    options.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, given[6]);
    options.put(StreamsConfig.consumerPrefix(ConsumerConfig.ISOLATION_LEVEL_CONFIG), "read_committed");
    options.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
    options.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), BATCH_BYTES);
    KafkaStreams streams = new KafkaStreams(topology, options);
    CountDownLatch end = new CountDownLatch(1);
    streams.setStateListener((now, before) -> {
      if (now == KafkaStreams.State.RUNNING) {
        System.out.println("ready");
      } else if (now == KafkaStreams.State.ERROR) {
        System.exit(1);
      }
    });
    Runtime.getRuntime().addShutdownHook(new Thread(() -> {
      streams.close(java.time.Duration.ofSeconds(20));
      end.countDown();
    }));
    streams.start();
    end.await();
  }
}
