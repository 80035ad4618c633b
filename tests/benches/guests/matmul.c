// A matrix product in single precision with plain loops, SIZE times. Each product changes a factor of the next one.
#include "program.h"

#define N 64

static float a[N][N], b[N][N], c[N][N];

static void multiply(void) {
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            float sum = 0;
            for (int k = 0; k < N; k++) sum += a[i][k] * b[k][j];
            c[i][j] = sum;
        }
}

int main(void) {
    uint64_t state = 1;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            a[i][j] = (float)(int16_t)next(&state) / 32768.0f;
            b[i][j] = (float)(int16_t)next(&state) / 32768.0f;
        }
    for (int round = 0; round < SIZE; round++) {
        multiply();
        for (int i = 0; i < N; i++) a[i][round % N] = c[i][i] / N;
    }
    return fold(mix(SEED, c, sizeof c));
}
