// counter [INTERVAL_MS] [WITNESS_IP:PORT]
// Counts in memory only, so that a number that goes on proves that the memory moved. Each tick prints the number and,
// if a witness is given, sends it "NONCE NUMBER PID": two copies that run at once share the nonce and are caught.
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

// One socket a datagram: none is open while the process sleeps, so that a dump has no connection to carry.
static void tell(const struct sockaddr_in *witness, uint64_t nonce, uint64_t number) {
  char text[80];
  int length = snprintf(text, sizeof text, "%016llx %llu %d\n", (unsigned long long)nonce, (unsigned long long)number,
                        (int)getpid());
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return;
  (void)!sendto(fd, text, length, 0, (const struct sockaddr *)witness, sizeof *witness);
  close(fd);
}

int main(int argc, char **argv) {
  long interval = argc > 1 ? atol(argv[1]) : 100;
  struct sockaddr_in witness = {.sin_family = AF_INET};
  int told = 0;
  if (interval <= 0) {
    fprintf(stderr, "counter: INTERVAL_MS must be a number above 0\n");
    return 2;
  }
  if (argc > 2) {
    char *colon = strchr(argv[2], ':');
    if (colon)
      *colon = 0;
    if (!colon || inet_pton(AF_INET, argv[2], &witness.sin_addr) != 1 || atoi(colon + 1) <= 0) {
      fprintf(stderr, "counter: the witness must be IP:PORT\n");
      return 2;
    }
    witness.sin_port = htons(atoi(colon + 1));
    told = 1;
  }
  uint64_t nonce;
  if (getrandom(&nonce, sizeof nonce, 0) != sizeof nonce)
    return 1;
  struct timespec tick = {.tv_sec = interval / 1000, .tv_nsec = interval % 1000 * 1000000};
  for (uint64_t number = 1;; number++) {
    printf("%llu\n", (unsigned long long)number);
    fflush(stdout);
    if (told)
      tell(&witness, nonce, number);
    nanosleep(&tick, NULL);
  }
}
