#include "caprl/cli/run_main.h"

int main(int argc, char** argv) { return caprl::run_main({argv + 1, argv + argc}); }
