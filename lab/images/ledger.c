// ledger INTERVAL_MS WITNESS_IP:PORT MEBIBYTES FOLDER
// Keeps a book that a move must not spoil. Each tick has a number, which goes into a stretch of memory and into FOLDER/ledger before the
// witness is told of it: "NONCE NUMBER PID MICROSECONDS VERDICT". What it has told is acknowledged; it looks at all of it again and
// again, and the verdict names what it does not find as it was: `memory`, `ledger`, or `deed` (a file written once and closed).
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { WORDS = 512, STRETCH = 64, LOOK_EVERY = 25 };

static uint64_t *memory, pages, nonce;
static const char *verdict = "ok";
static char ledger[256], deed[256];

static void find_fault(const char *what) {
  if (strcmp(verdict, "ok") == 0)
    verdict = what;
}

// No two pages, rounds or words alike: a page that is lost, old or another's is noticed.
static uint64_t word(uint64_t page, uint64_t round, int index) {
  return ((page + 1) * 0x9e3779b97f4a7c15ull) ^ (round * 0xc2b2ae3d27d4eb4full) ^ ((uint64_t)index << 32) ^ nonce;
}

static void fill(uint64_t page, uint64_t round) {
  for (int i = 0; i < WORDS; i++)
    memory[page * WORDS + i] = word(page, round, i);
}

// Reads what the round before has written into the next pages, then writes this round's.
static void keep_memory(uint64_t number) {
  for (uint64_t turn = (number - 1) * STRETCH; turn < number * STRETCH; turn++) {
    uint64_t page = turn % pages, round = turn / pages;
    for (int i = 0; i < WORDS; i += 73)
      if (memory[page * WORDS + i] != word(page, round, i))
        find_fault("memory");
    fill(page, round + 1);
  }
}

static void look_at_files(uint64_t number) {
  char text[32] = "", own[32];
  snprintf(own, sizeof own, "%016llx\n", (unsigned long long)nonce);
  FILE *file = fopen(deed, "r");
  if (!file || !fgets(text, sizeof text, file) || strcmp(text, own) != 0)
    find_fault("deed");
  if (file)
    fclose(file);
  uint64_t expected = 1;
  file = fopen(ledger, "r");
  for (; file && fgets(text, sizeof text, file); expected++)
    if (strtoull(text, NULL, 10) != expected)
      break;
  if (file)
    fclose(file);
  if (expected != number + 1)
    find_fault("ledger");
}

// One socket a datagram: none is open while the process sleeps, so that a dump has no connection to carry.
static void tell(const struct sockaddr_in *witness, uint64_t number) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  char text[120];
  int length = snprintf(text, sizeof text, "%016llx %llu %d %lld %s\n", (unsigned long long)nonce,
                        (unsigned long long)number, (int)getpid(),
                        (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000, verdict);
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return;
  (void)!sendto(fd, text, length, 0, (const struct sockaddr *)witness, sizeof *witness);
  close(fd);
}

int main(int argc, char **argv) {
  long interval = argc == 5 ? atol(argv[1]) : 0;
  char *colon = argc == 5 ? strchr(argv[2], ':') : NULL;
  struct sockaddr_in witness = {.sin_family = AF_INET};
  if (colon)
    *colon = 0;
  if (interval <= 0 || !colon || inet_pton(AF_INET, argv[2], &witness.sin_addr) != 1 || atoi(colon + 1) <= 0 ||
      atol(argv[3]) <= 0) {
    fprintf(stderr, "usage: ledger INTERVAL_MS WITNESS_IP:PORT MEBIBYTES FOLDER\n");
    return 2;
  }
  witness.sin_port = htons(atoi(colon + 1));
  pages = (uint64_t)atol(argv[3]) * 256;
  memory = malloc(pages * WORDS * sizeof *memory);
  snprintf(ledger, sizeof ledger, "%s/ledger", argv[4]);
  snprintf(deed, sizeof deed, "%s/deed", argv[4]);
  mkdir(argv[4], 0755);
  if (!memory || getrandom(&nonce, sizeof nonce, 0) != sizeof nonce)
    return 1;
  FILE *file = fopen(deed, "w");
  if (!file || fprintf(file, "%016llx\n", (unsigned long long)nonce) < 0 || fclose(file) != 0)
    return 1;
  // Open all the time, as a program's own log is.
  int book = open(ledger, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
  if (book < 0)
    return 1;
  for (uint64_t page = 0; page < pages; page++)
    fill(page, 0);
  struct timespec tick = {.tv_sec = interval / 1000, .tv_nsec = interval % 1000 * 1000000};
  for (uint64_t number = 1;; number++) {
    char line[32];
    int length = snprintf(line, sizeof line, "%llu\n", (unsigned long long)number);
    keep_memory(number);
    if (write(book, line, length) != length)
      find_fault("ledger");
    if (number % LOOK_EVERY == 0)
      look_at_files(number);
    tell(&witness, number);
    nanosleep(&tick, NULL);
  }
}
