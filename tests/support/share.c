/* A share of the tests' own: a FUSE file system over a folder that is slow, folds case or Unicode forms, refuses names,
 * has coarse times, or lets nobody set times. It is written in C so that a benchmark measures what is above it.
 *
 *   share MOUNT_POINT [-f] -o source=/folder,delay=MICROSECONDS,refuse=CHARACTERS,longest=BYTES,fold,normal,decompose,
 *                             inodes,stubborn,coarse,timeless
 *
 * fold: names that differ in case alone are one. normal: so are those that differ in form alone (of e with acute).
 * decompose: names are kept and listed in the decomposed form. inodes: two spellings of a name have one inode number;
 * without, each has its own, as in libfuse's path-based file systems. stubborn: a file keeps its first spelling.
 */
#define FUSE_USE_VERSION 31
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/statvfs.h>
#include <unistd.h>

static struct {
    char *source;
    unsigned delay;
    char *refuse;
    unsigned longest;
    int fold;
    int normal;
    int decompose;
    int inodes;
    int stubborn;
    int coarse;
    int timeless;
} share;

static const struct fuse_opt options[] = {
    {"source=%s", offsetof(__typeof__(share), source), 0},
    {"delay=%u", offsetof(__typeof__(share), delay), 0},
    {"refuse=%s", offsetof(__typeof__(share), refuse), 0},
    {"longest=%u", offsetof(__typeof__(share), longest), 0},
    {"fold", offsetof(__typeof__(share), fold), 1},
    {"normal", offsetof(__typeof__(share), normal), 1},
    {"decompose", offsetof(__typeof__(share), decompose), 1},
    {"inodes", offsetof(__typeof__(share), inodes), 1},
    {"stubborn", offsetof(__typeof__(share), stubborn), 1},
    {"coarse", offsetof(__typeof__(share), coarse), 1},
    {"timeless", offsetof(__typeof__(share), timeless), 1},
    FUSE_OPT_END,
};

static _Thread_local int asked; /* libfuse itself asks for the attributes of what a call made or changed */

static int result(long value) { return value < 0 ? -errno : 0; }

static int changed(int value) {
    asked = value >= 0;
    return result(value);
}

static void pause_for_a_call(void) {
    if (share.delay && !asked)
        usleep(share.delay);
    asked = 0;
}

/* A name with e and E with acute decomposed, which is all that the tests need. */
static char *decomposed(char *buffer, const char *name) {
    char *end = buffer;
    for (; *name; name++)
        if ((unsigned char)name[0] == 0xc3 && ((unsigned char)name[1] | 0x20) == 0xa9) {
            end = stpcpy(end, *++name & 0x20 ? "e\xcc\x81" : "E\xcc\x81");
        } else
            *end++ = *name;
    *end = 0;
    return buffer;
}

static int same_name(const char *one, const char *other) {
    char first[PATH_MAX], second[PATH_MAX];
    if (share.normal) {
        one = decomposed(first, one);
        other = decomposed(second, other);
    }
    return (share.fold ? strcasecmp(one, other) : strcmp(one, other)) == 0;
}

/* Replaces the last name of a path by one that is the same, if there is no such name but such a one. */
static void fold(char *path) {
    char *name = strrchr(path, '/');
    struct stat found;
    if (lstat(path, &found) == 0)
        return;
    *name++ = 0;
    DIR *directory = opendir(path);
    name[-1] = '/';
    if (!directory)
        return;
    for (struct dirent *entry; (entry = readdir(directory));)
        if (same_name(entry->d_name, name)) {
            strcpy(name, entry->d_name);
            break;
        }
    closedir(directory);
}

/* Where a path of the share is. */
static char *locate(char *buffer, const char *path) {
    char form[PATH_MAX];
    int length = snprintf(buffer, PATH_MAX, "%s", share.source);
    if (share.decompose)
        path = decomposed(form, path);
    if (!share.fold && !share.normal) {
        snprintf(buffer + length, PATH_MAX - length, "%s", path);
        return buffer;
    }
    char *copy = strdup(path), *rest = copy, *name;
    while ((name = strsep(&rest, "/")))
        if (*name) {
            length = strlen(buffer);
            snprintf(buffer + length, PATH_MAX - length, "/%s", name);
            fold(buffer);
        }
    free(copy);
    return buffer;
}

/* Each call comes here first, and takes its time. */
static char *place(char *buffer, const char *path) {
    pause_for_a_call();
    return locate(buffer, path);
}

/* Why the name of a path is refused, if it is. */
static int refused(const char *path) {
    const char *name = strrchr(path, '/') + 1;
    if (share.longest && strlen(name) > share.longest)
        return -ENAMETOOLONG;
    return share.refuse && strpbrk(name, share.refuse) ? -EINVAL : 0;
}

static void *start(struct fuse_conn_info *connection, struct fuse_config *config) {
    (void)connection;
    config->hard_remove = 1;
    config->use_ino = share.inodes;
    config->entry_timeout = config->attr_timeout = config->negative_timeout = 1; /* as NFS and SMB do */
    return NULL;
}

static int do_getattr(const char *path, struct stat *found, struct fuse_file_info *file) {
    (void)file;
    char at[PATH_MAX];
    return result(lstat(place(at, path), found));
}

static int do_readdir(const char *path, void *buffer, fuse_fill_dir_t fill, off_t offset, struct fuse_file_info *file,
                      enum fuse_readdir_flags flags) {
    (void)offset, (void)file, (void)flags;
    char at[PATH_MAX];
    DIR *directory = opendir(place(at, path));
    if (!directory)
        return -errno;
    for (struct dirent *entry; (entry = readdir(directory));)
        fill(buffer, entry->d_name, NULL, 0, 0);
    closedir(directory);
    return 0;
}

static int do_mkdir(const char *path, mode_t mode) {
    char at[PATH_MAX];
    place(at, path);
    return refused(path) ? refused(path) : changed(mkdir(at, mode));
}

static int do_unlink(const char *path) {
    char at[PATH_MAX];
    return result(unlink(place(at, path)));
}

static int do_rmdir(const char *path) {
    char at[PATH_MAX];
    return result(rmdir(place(at, path)));
}

static int do_rename(const char *from, const char *to, unsigned flags) {
    char before[PATH_MAX], after[PATH_MAX];
    int slash;
    place(before, from);
    locate(after, to);
    if (refused(to) || flags)
        return refused(to) ? refused(to) : -EINVAL;
    if (!share.stubborn && (share.fold || share.normal) && strcmp(before, after) == 0) { /* another spelling */
        slash = strrchr(after, '/') - after;
        strcpy(after + slash, strrchr(to, '/'));
        if (share.decompose)
            decomposed(after + slash, strrchr(to, '/'));
    }
    return result(rename(before, after));
}

static int do_truncate(const char *path, off_t size, struct fuse_file_info *file) {
    (void)file;
    char at[PATH_MAX];
    return changed(truncate(place(at, path), size));
}

static int do_utimens(const char *path, const struct timespec times[2], struct fuse_file_info *file) {
    (void)file;
    char at[PATH_MAX];
    struct timespec kept[2] = {times[0], times[1]};
    if (share.timeless && times[1].tv_nsec != UTIME_NOW)
        return -EPERM;
    if (share.coarse)
        for (int which = 0; which < 2; which++)
            if (kept[which].tv_nsec != UTIME_NOW && kept[which].tv_nsec != UTIME_OMIT)
                kept[which] = (struct timespec){.tv_sec = kept[which].tv_sec / 2 * 2};
    return changed(utimensat(AT_FDCWD, place(at, path), kept, AT_SYMLINK_NOFOLLOW));
}

static int do_create(const char *path, mode_t mode, struct fuse_file_info *file) {
    char at[PATH_MAX];
    place(at, path);
    if (refused(path))
        return refused(path);
    int descriptor = open(at, file->flags | O_CREAT, mode);
    file->fh = descriptor;
    return changed(descriptor);
}

static int do_open(const char *path, struct fuse_file_info *file) {
    char at[PATH_MAX];
    int descriptor = open(place(at, path), file->flags);
    file->fh = descriptor;
    return result(descriptor);
}

static int do_read(const char *path, char *buffer, size_t size, off_t offset, struct fuse_file_info *file) {
    char at[PATH_MAX];
    place(at, path);
    ssize_t got = pread(file->fh, buffer, size, offset);
    return got < 0 ? -errno : got;
}

static int do_write(const char *path, const char *buffer, size_t size, off_t offset, struct fuse_file_info *file) {
    char at[PATH_MAX];
    place(at, path);
    ssize_t put = pwrite(file->fh, buffer, size, offset);
    return put < 0 ? -errno : put;
}

static int do_release(const char *path, struct fuse_file_info *file) {
    (void)path;
    return result(close(file->fh));
}

static int do_statfs(const char *path, struct statvfs *found) {
    char at[PATH_MAX];
    return result(statvfs(place(at, path), found));
}

static const struct fuse_operations operations = {
    .init = start,
    .getattr = do_getattr,
    .readdir = do_readdir,
    .mkdir = do_mkdir,
    .unlink = do_unlink,
    .rmdir = do_rmdir,
    .rename = do_rename,
    .truncate = do_truncate,
    .utimens = do_utimens,
    .create = do_create,
    .open = do_open,
    .read = do_read,
    .write = do_write,
    .release = do_release,
    .statfs = do_statfs,
};

int main(int count, char **arguments) {
    struct fuse_args given = FUSE_ARGS_INIT(count, arguments);
    if (fuse_opt_parse(&given, &share, options, NULL) || !share.source)
        return 2;
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 12)
    fuse_opt_add_arg(&given, "-omax_threads=64"); /* before, there was no limit */
#endif
    return fuse_main(given.argc, given.argv, &operations, NULL);
}
