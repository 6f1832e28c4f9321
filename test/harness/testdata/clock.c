// Preloaded into a redis-server, this gives it a clock that a test sets: the µs since the Unix
// epoch in the file CLOCK.

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	static volatile int64_t *now;

	(void)zone;
	if (!now) {
		void *page = mmap(NULL, sizeof *now, PROT_READ, MAP_SHARED, open(getenv("CLOCK"), O_RDONLY), 0);
		if (page == MAP_FAILED)
			abort();
		now = page;
	}
	int64_t us = *now;
	tv->tv_sec = us / 1000000;
	tv->tv_usec = us % 1000000;
	return 0;
}
