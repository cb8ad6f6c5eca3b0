// Apache Kafka's own client under load. A line of its input is a command, and a line of its output its result, so that the
// machine stays warm from one system and round to the next.
//
//   produce BOOTSTRAP TOPIC PRODUCERS SECONDS BYTES    records/s, p50 and p99 in ms
//   consume BOOTSTRAP TOPIC RECORDS                    records/s

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Properties;
import java.util.Random;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public final class Load {
    private static final int VALUES = 1024;
    private static final int LATENCIES = 1 << 22;

    public static void main(String[] arguments) throws Exception {
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            String[] words = line.split(" ");
            String result;
            if (words[0].equals("produce")) {
                int producers = Integer.parseInt(words[3]);
                double seconds = Double.parseDouble(words[4]);
                result = produce(words[1], words[2], producers, seconds, Integer.parseInt(words[5]));
            } else {
                result = consume(words[1], words[2], Long.parseLong(words[3]));
            }
            System.out.println(result);
        }
    }

    private static String produce(String bootstrap, String topic, int producers, double seconds, int bytes)
            throws Exception {
        List<Sender> senders = new ArrayList<>();
        long from = System.nanoTime() + (long) (seconds * 0.25e9);
        long until = from + (long) (seconds * 1e9);
        for (int number = 0; number < producers; number++) {
            Sender sender = new Sender(bootstrap, topic, from, until, bytes, LATENCIES / producers);
            sender.start();
            senders.add(sender);
        }
        long count = 0;
        int kept = 0;
        for (Sender sender : senders) {
            sender.join();
            if (sender.failure != null) {
                throw sender.failure;
            }
            count += sender.answered;
            kept += sender.kept();
        }
        int[] latencies = new int[kept];
        int at = 0;
        for (Sender sender : senders) {
            System.arraycopy(sender.latencies, 0, latencies, at, sender.kept());
            at += sender.kept();
        }
        Arrays.sort(latencies);
        double rate = count / seconds;
        return rate + " " + latencies[kept / 2] / 1e3 + " " + latencies[(int) (kept * 0.99)] / 1e3;
    }

    private static String consume(String bootstrap, String topic, long records) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("key.deserializer", ByteArrayDeserializer.class.getName());
        settings.put("value.deserializer", ByteArrayDeserializer.class.getName());
        settings.put("enable.auto.commit", "false");
        settings.put("max.poll.records", "5000");
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings)) {
            List<TopicPartition> all = consumer.partitionsFor(topic).stream()
                    .map(found -> new TopicPartition(topic, found.partition())).collect(Collectors.toList());
            consumer.assign(all);
            consumer.seekToBeginning(all);
            long count = consumer.poll(Duration.ofSeconds(10)).count();
            long first = count;
            long started = System.nanoTime();
            while (count < records) {
                count += consumer.poll(Duration.ofSeconds(10)).count();
            }
            return String.valueOf((count - first) * 1e9 / (System.nanoTime() - started));
        }
    }

    private static final class Sender extends Thread {
        private final KafkaProducer<byte[], byte[]> producer;
        private final String topic;
        private final long from;
        private final long until;
        private final byte[][] values;
        private final int[] latencies;
        private volatile long answered;
        private volatile Exception failure;

        Sender(String bootstrap, String topic, long from, long until, int bytes, int latencies) {
            Properties settings = new Properties();
            settings.put("bootstrap.servers", bootstrap);
            settings.put("key.serializer", ByteArraySerializer.class.getName());
            settings.put("value.serializer", ByteArraySerializer.class.getName());
            settings.put("acks", "all");
            this.producer = new KafkaProducer<>(settings);
            this.topic = topic;
            this.from = from;
            this.until = until;
            this.latencies = new int[latencies];
            Random random = new Random(getId());
            this.values = new byte[VALUES][];
            for (int number = 0; number < VALUES; number++) {
                StringBuilder text = new StringBuilder("{\"text\":\"");
                while (text.length() + 2 < bytes) {
                    text.append((char) ('a' + random.nextInt(26)));
                }
                values[number] = text.append("\"}").toString().getBytes();
            }
        }

        int kept() {
            return (int) Math.min(answered, latencies.length);
        }

        @Override
        public void run() {
            for (int number = 0; System.nanoTime() < until; number = (number + 1) % VALUES) {
                long sent = System.nanoTime();
                producer.send(new ProducerRecord<>(topic, values[number]), (metadata, error) -> {
                    long now = System.nanoTime();
                    if (error != null) {
                        failure = error;
                    } else if (now >= from && now < until) {
                        // Only the producer's own thread answers.
                        latencies[(int) (answered % latencies.length)] = (int) ((now - sent) / 1000);
                        answered++;
                    }
                });
            }
            producer.close();
        }
    }
}
