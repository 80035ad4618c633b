// A perceptron with two hidden layers, asked SIZE times: matrix times vector, bias, ReLU. The answer is in the next
// question.
#include "program.h"

#define INPUTS 196
#define HIDDEN 64
#define OUTPUTS 10

static float weights1[HIDDEN][INPUTS], weights2[HIDDEN][HIDDEN], weights3[OUTPUTS][HIDDEN], bias[HIDDEN];
static float input[INPUTS], hidden1[HIDDEN], hidden2[HIDDEN], output[OUTPUTS];

static void fill(float *values, int count, uint64_t *state) {
    for (int i = 0; i < count; i++) values[i] = (float)(int16_t)next(state) / 262144.0f;
}

static void layer(const float *weights, const float *from, int inputs, float *to, int outputs) {
    for (int i = 0; i < outputs; i++) {
        float sum = bias[i];
        for (int k = 0; k < inputs; k++) sum += weights[i * inputs + k] * from[k];
        to[i] = sum > 0 ? sum : 0;
    }
}

int main(void) {
    uint64_t state = 3, sum = SEED;
    fill(*weights1, HIDDEN * INPUTS, &state);
    fill(*weights2, HIDDEN * HIDDEN, &state);
    fill(*weights3, OUTPUTS * HIDDEN, &state);
    fill(bias, HIDDEN, &state);
    fill(input, INPUTS, &state);
    for (int round = 0; round < SIZE; round++) {
        layer(*weights1, input, INPUTS, hidden1, HIDDEN);
        layer(*weights2, hidden1, HIDDEN, hidden2, HIDDEN);
        layer(*weights3, hidden2, HIDDEN, output, OUTPUTS);
        for (int i = 0; i < OUTPUTS; i++) input[(round + i) % INPUTS] = output[i] - 0.125f;
        sum = mix(sum, output, sizeof output);
    }
    return fold(sum);
}
