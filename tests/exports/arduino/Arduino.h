/* What the sketch calls, for this machine. */
#include <cstdio>
#include <cstdlib>

struct {
    void begin(int) {}
    void print(const char *text) { std::fputs(text, stdout); }
    void print(int n) { std::printf("%d", n); }
    void println(const char *text) { std::puts(text); }
} Serial;

inline void delay(int) { std::exit(0); } /* the sketch has printed once */

void setup();
void loop();
int main() {
    setup();
    for (;;) loop();
}
