// A matrix product in single precision, SIZE times, four rows by four columns at once: sixteen sums stay in registers.
#include "program.h"

#define N 64

// One rounding where the machine has an instruction for it, two elsewhere.
#ifdef FUSED
#define MULTIPLY_ADD(a, b, c) __builtin_fmaf(a, b, c)
#else
#define MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
#endif

#define ROW(i)                                                 \
    sum##i##0 = MULTIPLY_ADD(a[row + i][k], b0, sum##i##0);    \
    sum##i##1 = MULTIPLY_ADD(a[row + i][k], b1, sum##i##1);    \
    sum##i##2 = MULTIPLY_ADD(a[row + i][k], b2, sum##i##2);    \
    sum##i##3 = MULTIPLY_ADD(a[row + i][k], b3, sum##i##3)
#define ZERO(i) float sum##i##0 = 0, sum##i##1 = 0, sum##i##2 = 0, sum##i##3 = 0
#define STORE(i)                             \
    c[row + i][column] = sum##i##0;          \
    c[row + i][column + 1] = sum##i##1;      \
    c[row + i][column + 2] = sum##i##2;      \
    c[row + i][column + 3] = sum##i##3

static float a[N][N], b[N][N], c[N][N];

static void tile(int row, int column) {
    ZERO(0);
    ZERO(1);
    ZERO(2);
    ZERO(3);
    for (int k = 0; k < N; k++) {
        float b0 = b[k][column], b1 = b[k][column + 1], b2 = b[k][column + 2], b3 = b[k][column + 3];
        ROW(0);
        ROW(1);
        ROW(2);
        ROW(3);
    }
    STORE(0);
    STORE(1);
    STORE(2);
    STORE(3);
}

int main(void) {
    uint64_t state = 2;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            a[i][j] = (float)(int16_t)next(&state) / 32768.0f;
            b[i][j] = (float)(int16_t)next(&state) / 32768.0f;
        }
    for (int round = 0; round < SIZE; round++) {
        for (int row = 0; row < N; row += 4)
            for (int column = 0; column < N; column += 4) tile(row, column);
        for (int i = 0; i < N; i++) a[i][round % N] = c[i][i] / N;
    }
    return fold(mix(SEED, c, sizeof c));
}
