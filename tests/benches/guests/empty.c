// Nothing: what it costs to start a process.
#include "program.h"

int main(void) { return fold(SIZE); }
