/* Preloaded, it moves the wall clock of one process by WALLCLOCK_S seconds. The monotonic clock is right, and so is time(), by which
   TLS judges certificates. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    int status = syscall(SYS_clock_gettime, clock, now);
    const char *by = getenv("WALLCLOCK_S");
    if (!status && by && clock == CLOCK_REALTIME)
        now->tv_sec += atol(by);
    return status;
}
