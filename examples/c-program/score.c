// A scoring model in C: standardises a customer's figures, keeps a moving average of the payments, and puts both
// through a logistic function. It needs no library: what it uses of mathematics is here.

// The inputs and outputs, a line each. The program's entry gets pointers to them, in this order.
__attribute__((section(".opml"), used)) static const char interface[] =
    "input figures f32[6]\n"
    "input payments f32[24]\n"
    "output score f32[1]\n"
    "output trend f32[20]\n";

enum { FIGURES = 6, PAYMENTS = 24, WINDOW = 5, TREND = PAYMENTS - WINDOW + 1 };

// Constants, as a training run would print them.
static const float mean[FIGURES] = {41.5f, 3.2f, 0.31f, 2750.0f, 1.4f, 0.05f};
static const float deviation[FIGURES] = {12.0f, 1.7f, 0.22f, 1400.0f, 0.9f, 0.21f};
static const float weight[FIGURES] = {0.18f, -0.42f, -1.35f, 0.77f, -0.29f, -2.1f};

// A variable that has a value at the start, and one that has none.
static float bias = 0.35f;
static float average_of_all;

// e^x for small x: halved until a short series is exact enough, then squared as often.
static float exponential(float x) {
    float y = x / 64, sum = 1 + y * (1 + y / 2 * (1 + y / 3 * (1 + y / 4)));
    for (int i = 0; i < 6; i++) sum *= sum;
    return sum;
}

int _start(const float *figures, const float *payments, float *score, float *trend) {
    for (int i = 0; i < TREND; i++) {
        float sum = 0;
        for (int j = 0; j < WINDOW; j++) sum += payments[i + j];
        trend[i] = sum / WINDOW;
        average_of_all += trend[i] / TREND;
    }
    float sum = bias + 0.002f * average_of_all;
    for (int i = 0; i < FIGURES; i++) sum += weight[i] * (figures[i] - mean[i]) / deviation[i];
    // Outside of these bounds the score is 0 or 1 anyway.
    sum = sum < -16 ? -16 : sum > 16 ? 16 : sum;
    score[0] = 1 / (1 + exponential(-sum));
    return 0;
}
