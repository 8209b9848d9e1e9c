import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLongArray;
import java.util.zip.CRC32;

/**
 * java Threads.java WITNESS_IP:PORT
 *
 * A pool of eight threads that count and make garbage, a map, and memory whose sums are known. Every 25 ms it reports
 * "NONCE NUMBER STATE" to the witness.
 */
public class Threads {
  static final int THREADS = 8;
  static final int BLOCKS = 16;
  static final int TICK_MS = 25;

  static long sum(byte[] block) {
    CRC32 crc = new CRC32();
    crc.update(block);
    return crc.getValue();
  }

  public static void main(String[] args) throws Exception {
    String[] target = args[0].split(":");
    InetAddress host = InetAddress.getByName(target[0]);
    int port = Integer.parseInt(target[1]);
    Random random = new Random();
    String nonce = Long.toHexString(random.nextLong());

    byte[][] memory = new byte[BLOCKS][1 << 20];
    long[] sums = new long[BLOCKS];
    for (int block = 0; block < BLOCKS; block++) {
      random.nextBytes(memory[block]);
      sums[block] = sum(memory[block]);
    }
    Map<String, Integer> map = new HashMap<>();
    for (int entry = 0; entry < 20_000; entry++) map.put("key " + entry, entry);

    AtomicLongArray counts = new AtomicLongArray(THREADS);
    ScheduledExecutorService pool = Executors.newScheduledThreadPool(THREADS);
    for (int thread = 0; thread < THREADS; thread++) {
      int index = thread;
      pool.scheduleWithFixedDelay(() -> {
        List<byte[]> garbage = new ArrayList<>();
        for (int i = 0; i < 32; i++) garbage.add(new byte[1024]);
        counts.addAndGet(index, garbage.size() / 32);
      }, 0, 20, TimeUnit.MILLISECONDS);
    }

    int torn = 0;
    try (DatagramSocket witness = new DatagramSocket()) {
      for (long number = 1;; number++) {
        int block = (int) (number % BLOCKS);
        if (sum(memory[block]) != sums[block]) torn++;
        int entry = (int) (number * 7919 % 20_000);
        boolean found = map.getOrDefault("key " + entry, -1) == entry;
        String state = String.format("{\"counts\":%s,\"torn\":%d,\"found\":%b,\"java\":%d}", counts, torn, found,
            Runtime.version().feature());
        byte[] text = (nonce + " " + number + " " + state).getBytes();
        witness.send(new DatagramPacket(text, text.length, host, port));
        Thread.sleep(TICK_MS);
      }
    }
  }
}
