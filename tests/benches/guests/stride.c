// Touches every page of 64 MiB in turn, SIZE times, another word of the page each time: what memory costs.
#include "program.h"

#define PAGE 512
#define PAGES 16384

static uint64_t memory[PAGES][PAGE];

int main(void) {
    uint64_t sum = SEED;
    for (int round = 0; round < SIZE; round++) {
        int word = round % PAGE;
        for (int page = 0; page < PAGES; page++) {
            sum = sum * 5 + memory[page][word];
            memory[page][(word + 1) % PAGE] = sum;
        }
    }
    return fold(sum);
}
