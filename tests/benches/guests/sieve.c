// The primes below 200,000 by Eratosthenes' sieve, SIZE times: short loops, and a branch on every byte.
#include "program.h"

#define N 200000

static uint8_t composite[N];

static int sieve(void) {
    int primes = 0;
    for (int i = 0; i < N; i++) composite[i] = 0;
    for (int i = 2; i < N; i++) {
        if (composite[i]) continue;
        primes++;
        for (int64_t j = (int64_t)i * i; j < N; j += i) composite[j] = 1;
    }
    return primes;
}

int main(void) {
    uint64_t sum = SEED;
    for (int round = 0; round < SIZE; round++) {
        int primes = sieve();
        if (primes != 17984) return 0;
        sum = mix(sum, &composite[round % N], 64);
    }
    return fold(sum);
}
