/* Preloaded into a process, this notes in $POWER_CUT_LOG what it writes into files of $POWER_CUT_FOLDER, in order.

   A note: one letter, three 32-bit numbers (length of the name, of the second name or the data, and the offset), the
   name, the second name or the data. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(result, name, ...) result (*real)(__VA_ARGS__) = (result (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static void note(char what, const char *path, const void *data, size_t length, off_t offset) {
    static int log = -1;
    const char *folder = getenv("POWER_CUT_FOLDER");
    if (!folder || strncmp(path, folder, strlen(folder)) != 0) return;
    if (log < 0) log = open(getenv("POWER_CUT_LOG"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    const char *name = path + strlen(folder) + 1;
    uint32_t numbers[3] = {(uint32_t)strlen(name), (uint32_t)length, (uint32_t)offset};
    struct iovec parts[] = {{&what, 1}, {numbers, sizeof numbers}, {(void *)name, numbers[0]}, {(void *)data, length}};
    if (writev(log, parts, data ? 4 : 3) < 0) abort();
}

static void note_file(char what, int file, const void *data, size_t length, off_t offset) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size <= 0) return;
    path[size] = 0;
    note(what, path, data, length, offset);
}

static ssize_t noted_pwrite(const char *name, int file, const void *data, size_t length, off_t offset) {
    REAL(ssize_t, name, int, const void *, size_t, off_t);
    ssize_t written = real(file, data, length, offset);
    if (written > 0) note_file('W', file, data, (size_t)written, offset);
    return written;
}

ssize_t pwrite(int file, const void *data, size_t length, off_t offset) {
    return noted_pwrite("pwrite", file, data, length, offset);
}

ssize_t pwrite64(int file, const void *data, size_t length, off_t offset) {
    return noted_pwrite("pwrite64", file, data, length, offset);
}

static int noted_truncate(const char *name, int file, off_t length) {
    REAL(int, name, int, off_t);
    int result = real(file, length);
    if (result == 0) note_file('T', file, NULL, 0, length);
    return result;
}

int ftruncate(int file, off_t length) { return noted_truncate("ftruncate", file, length); }

int ftruncate64(int file, off_t length) { return noted_truncate("ftruncate64", file, length); }

static int noted_sync(const char *name, int file) {
    REAL(int, name, int);
    int result = real(file);
    if (result == 0) note_file('S', file, NULL, 0, 0);
    return result;
}

int fsync(int file) { return noted_sync("fsync", file); }

int fdatasync(int file) { return noted_sync("fdatasync", file); }

int unlink(const char *path) {
    REAL(int, "unlink", const char *);
    int result = real(path);
    if (result == 0) note('U', path, NULL, 0, 0);
    return result;
}

int rename(const char *from, const char *to) {
    REAL(int, "rename", const char *, const char *);
    const char *folder = getenv("POWER_CUT_FOLDER");
    int result = real(from, to);
    if (result == 0 && folder) note('R', from, to + strlen(folder) + 1, strlen(to) - strlen(folder) - 1, 0);
    return result;
}
