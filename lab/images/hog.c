// hog [MEGABYTES]
// Fills memory with numbers that neither compress nor repeat, then changes one page each tick and prints a count.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv) {
  size_t size = (size_t)(argc > 1 ? atol(argv[1]) : 64) << 20;
  uint64_t *memory = malloc(size);
  uint64_t x = 88172645463325252ull;
  size_t words = size / sizeof *memory;
  if (!memory || words == 0) {
    fprintf(stderr, "hog: MEGABYTES must be above 0 and fit in memory\n");
    return 2;
  }
  for (size_t i = 0; i < words; i++) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    memory[i] = x;
  }
  for (unsigned long count = 1;; count++) {
    memory[count * 512 % words]++;
    printf("%lu\n", count);
    fflush(stdout);
    usleep(10000);
  }
}
