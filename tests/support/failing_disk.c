/* Preloaded into a process, this has one of its reads of a file fail as on a disk that does not give it: once it is
   told of which file, and which of them (`fail_read`). SQLite reads so. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char failing[4096];
static long left;

void fail_read(const char *path, long number) {
    snprintf(failing, sizeof failing, "%s", path);
    left = number;
}

long reads_left(void) { return left; }

static int fails(int file) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size <= 0) return 0;
    path[size] = 0;
    return strcmp(path, failing) == 0 && left > 0 && --left == 0;
}

ssize_t pread64(int file, void *data, size_t length, off_t offset) {
    ssize_t (*real)(int, void *, size_t, off_t) = (ssize_t (*)(int, void *, size_t, off_t))dlsym(RTLD_NEXT, "pread64");
    if (left > 0 && fails(file)) {
        errno = EIO;
        return -1;
    }
    return real(file, data, length, offset);
}

ssize_t pread(int file, void *data, size_t length, off_t offset) { return pread64(file, data, length, offset); }
