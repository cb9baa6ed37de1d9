/* Counts what a process asks the disk to make durable: preloaded, it notes every such call in the file that MONEDULA_SYNCS names.
 *
 * Three numbers of 64 bits: syncs of files and directories, syncs of mapped memory, and the nanoseconds that the former took.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct counts {
    _Atomic uint64_t files, mapped, nanoseconds;
};

static struct counts none, *counts = &none;
static int (*next_fsync)(int), (*next_fdatasync)(int), (*next_syncfs)(int), (*next_msync)(void *, size_t, int);

__attribute__((constructor)) static void begin(void) {
    next_fsync = dlsym(RTLD_NEXT, "fsync");
    next_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    next_syncfs = dlsym(RTLD_NEXT, "syncfs");
    next_msync = dlsym(RTLD_NEXT, "msync");
    const char *path = getenv("MONEDULA_SYNCS");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *mapped = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (mapped != MAP_FAILED)
        counts = mapped;
    close(file);
}

static int timed(int (*sync)(int), int file) {
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    int result = sync(file);
    clock_gettime(CLOCK_MONOTONIC, &to);
    atomic_fetch_add(&counts->files, 1);
    atomic_fetch_add(&counts->nanoseconds, (uint64_t)(to.tv_sec - from.tv_sec) * 1000000000u + (uint64_t)to.tv_nsec - (uint64_t)from.tv_nsec);
    return result;
}

int fsync(int file) { return timed(next_fsync, file); }

int fdatasync(int file) { return timed(next_fdatasync, file); }

int syncfs(int file) { return timed(next_syncfs, file); }

int msync(void *at, size_t length, int flags) {
    atomic_fetch_add(&counts->mapped, 1);
    return next_msync(at, length, flags);
}
