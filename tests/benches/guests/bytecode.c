// A small interpreter that counts the steps of Collatz' sequences up to SIZE: a jump through a table for every
// instruction of the program that it runs.
#include "program.h"

enum { HALT, IF_ODD, TRIPLE_AND_ONE, HALVE, COUNT, UNLESS_ONE, NEXT };

// While there are numbers: until the number is one, make it 3n + 1 or n / 2 and count.
static const uint8_t program[] = {
    /* 0 */ UNLESS_ONE, 4, /* 2 */ NEXT, 0,
    /* 4 */ COUNT, 0,      /* 6 */ IF_ODD, 12,
    /* 8 */ HALVE, 0,      /* 10 */ UNLESS_ONE, 4,
    /* 12 */ TRIPLE_AND_ONE, 4,
};

static uint64_t run(uint64_t last) {
    uint64_t number = 1, start = 1, count = 0;
    for (unsigned pc = 0;;) {
        unsigned operand = program[pc + 1];
        switch (program[pc]) {
        case HALT: return count;
        case IF_ODD: pc = (number & 1) ? operand : pc + 2; break;
        case TRIPLE_AND_ONE: number = 3 * number + 1; pc = operand; break;
        case HALVE: number >>= 1; pc += 2; break;
        case COUNT: count++; pc += 2; break;
        case UNLESS_ONE: pc = number != 1 ? operand : 2; break;
        case NEXT:
            if (start == last) return count;
            number = ++start;
            pc = operand;
            break;
        }
    }
}

int main(void) {
    uint64_t count = run(SIZE);
    return fold(mix(SEED, &count, sizeof count));
}
