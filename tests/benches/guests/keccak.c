// The permutation keccak-f[1600] (FIPS 202), SIZE times: rotations, and more live values than there are registers.
#include "program.h"

static uint64_t rotate(uint64_t x, unsigned n) { return x << n | x >> (-n & 63); }

// The next bit of the sequence that the round constants are made of (FIPS 202, algorithm 5).
static unsigned next_bit(unsigned *lfsr) {
    unsigned bit = *lfsr & 1;
    *lfsr = *lfsr << 1 ^ (*lfsr >> 7) * 0x171;
    return bit;
}

static void constants(uint64_t of_round[24]) {
    unsigned lfsr = 1;
    for (int round = 0; round < 24; round++) {
        of_round[round] = 0;
        for (int j = 0; j < 7; j++) of_round[round] |= (uint64_t)next_bit(&lfsr) << ((1 << j) - 1);
    }
}

static void permute(uint64_t a[25], const uint64_t of_round[24]) {
    // Where each lane of rho and pi goes, and how far it turns.
    static const uint8_t place[24] = {10, 7, 11, 17, 18, 3, 5, 16, 8, 21, 24, 4, 15, 23, 19, 13, 12, 2, 20, 14, 22, 9, 6, 1};
    static const uint8_t turn[24] = {1, 3, 6, 10, 15, 21, 28, 36, 45, 55, 2, 14, 27, 41, 56, 8, 25, 43, 62, 18, 39, 61, 20, 44};
    for (int round = 0; round < 24; round++) {
        uint64_t column[5];
        for (int x = 0; x < 5; x++) column[x] = a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20];
        for (int x = 0; x < 5; x++) {
            uint64_t change = column[(x + 4) % 5] ^ rotate(column[(x + 1) % 5], 1);
            for (int y = 0; y < 25; y += 5) a[x + y] ^= change;
        }
        uint64_t moving = a[1];
        for (int i = 0; i < 24; i++) {
            uint64_t next = a[place[i]];
            a[place[i]] = rotate(moving, turn[i]);
            moving = next;
        }
        for (int y = 0; y < 25; y += 5) {
            uint64_t row[5];
            for (int x = 0; x < 5; x++) row[x] = a[x + y];
            for (int x = 0; x < 5; x++) a[x + y] = row[x] ^ (~row[(x + 1) % 5] & row[(x + 2) % 5]);
        }
        a[0] ^= of_round[round];
    }
}

int main(void) {
    static uint64_t lanes[25], of_round[24];
    constants(of_round);
    permute(lanes, of_round);
    // The first lane of the permutation of nothing, as the reference implementation has it.
    if (lanes[0] != 0xf1258f7940e1dde7u) return 0;
    for (int i = 0; i < SIZE; i++) permute(lanes, of_round);
    return fold(mix(SEED, lanes, sizeof lanes));
}
