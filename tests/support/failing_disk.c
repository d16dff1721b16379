/* Preloaded into a process, this has one call of it fail with EIO, once it is told which: of the reads of a file
   (`fail_read`), or of all that is done to files whose paths begin alike (`fail_call`). SQLite makes these calls. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char failing[4096];
static long left;
static int reads_alone;

static void fail(const char *path, long number, int reads) {
    snprintf(failing, sizeof failing, "%s", path);
    left = number;
    reads_alone = reads;
}

void fail_read(const char *path, long number) { fail(path, number, 1); }

void fail_call(const char *beginning, long number) { fail(beginning, number, 0); }

long calls_left(void) { return left; }

static int fails(int file, int is_read) {
    char link[64], path[4096];
    if (left <= 0 || (reads_alone && !is_read)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size <= 0) return 0;
    path[size] = 0;
    if (reads_alone ? strcmp(path, failing) : strncmp(path, failing, strlen(failing))) return 0;
    if (--left) return 0;
    errno = EIO;
    return 1;
}

#define REAL(result, name, ...) ((result (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name))

ssize_t pread64(int file, void *data, size_t length, off_t offset) {
    return fails(file, 1) ? -1 : REAL(ssize_t, "pread64", int, void *, size_t, off_t)(file, data, length, offset);
}

ssize_t pread(int file, void *data, size_t length, off_t offset) { return pread64(file, data, length, offset); }

ssize_t pwrite64(int file, const void *data, size_t length, off_t offset) {
    return fails(file, 0) ? -1 : REAL(ssize_t, "pwrite64", int, const void *, size_t, off_t)(file, data, length, offset);
}

ssize_t pwrite(int file, const void *data, size_t length, off_t offset) { return pwrite64(file, data, length, offset); }

int fsync(int file) { return fails(file, 0) ? -1 : REAL(int, "fsync", int)(file); }

int fdatasync(int file) { return fails(file, 0) ? -1 : REAL(int, "fdatasync", int)(file); }

int ftruncate64(int file, off_t length) {
    return fails(file, 0) ? -1 : REAL(int, "ftruncate64", int, off_t)(file, length);
}

int ftruncate(int file, off_t length) { return ftruncate64(file, length); }
