// A product of 8-bit matrices into 32 bits, SIZE times. Each product changes a factor of the next one.
#include "program.h"

#define N 64

static int8_t a[N][N], b[N][N];
static int32_t c[N][N];

static void multiply(void) {
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            int32_t sum = 0;
            for (int k = 0; k < N; k++) sum += a[i][k] * b[k][j];
            c[i][j] = sum;
        }
}

int main(void) {
    uint64_t state = 4;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            a[i][j] = (int8_t)next(&state);
            b[i][j] = (int8_t)next(&state);
        }
    for (int round = 0; round < SIZE; round++) {
        multiply();
        for (int i = 0; i < N; i++) a[i][round % N] = (int8_t)(c[i][i] >> 8);
    }
    return fold(mix(SEED, c, sizeof c));
}
