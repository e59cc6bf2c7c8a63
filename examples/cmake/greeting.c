#include <stdio.h>

int main(int argc, char **argv) {
    return printf("Hello, %s!\n", argc > 1 ? argv[1] : "everybody") < 0;
}
