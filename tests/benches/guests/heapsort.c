// Heapsort of random numbers, SIZE times: branches that can't be predicted.
#include "program.h"

#define N 4096

static uint32_t values[N];

static void sift(unsigned root, unsigned end) {
    uint32_t value = values[root];
    for (unsigned child; (child = 2 * root + 1) < end; root = child) {
        if (child + 1 < end && values[child] < values[child + 1]) child++;
        if (value >= values[child]) break;
        values[root] = values[child];
    }
    values[root] = value;
}

static void sort(void) {
    for (unsigned root = N / 2; root-- > 0;) sift(root, N);
    for (unsigned end = N; end-- > 1;) {
        uint32_t largest = values[0];
        values[0] = values[end];
        values[end] = largest;
        sift(0, end);
    }
}

int main(void) {
    uint64_t state = 5, sum = SEED;
    for (int round = 0; round < SIZE; round++) {
        for (int i = 0; i < N; i++) values[i] = (uint32_t)next(&state);
        sort();
        for (int i = 1; i < N; i++)
            if (values[i - 1] > values[i]) return 0;
        sum = mix(sum, &values[round % (N - 16)], 64);
    }
    return fold(sum);
}
