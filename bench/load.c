/* The load: one thread, one epoll, no allocation per event, so that it is never what is measured.
 *
 *   load hello  PORT PATH CONNECTIONS WARM_S SECONDS [JSON]   each connection asks again as soon as it was answered
 *   load upload PORT PATH CONNECTIONS WARM_S SECONDS BYTES    the same, each request has a body of so many bytes
 *   load stream PORT PATH STREAMS WARM_S SECONDS [JSON]       streams begun together, read for the whole time
 *   load first  PORT PATH STREAMS REPEATS [JSON]              time to the first event, streams begun together, then left
 *   load soak   PORT PATH STREAMS MEAN_S SECONDS [JSON]       streams left and begun anew at random, each MEAN_S old
 *   load source PORT INTERVAL_MS                              a server: one event per interval on every connection
 *   load sink   PORT 0                                        a server: reads a request's body to its end, and answers
 *
 * A request is a GET, or with JSON a POST of it; JSON may be @FILE. An event is what ends with an empty line. `begin` is printed when every
 * stream has had an event and the warm-up is over; then, at the end, one line of JSON with times in microseconds and
 * `cpu_us`, what this process itself used in between: far below the elapsed time means that the server set the pace.
 * soak prints `held` when it has stopped leaving and every stream has an event again, and goes on for HELD_S.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define MOST 4096
#define BUCKETS 200000 /* of 10 us: two seconds */
#define PATIENCE 90e6  /* microseconds for every stream's first event */
#define HELD_S 4

typedef struct {
  int fd, newline, in_body, matched;
  long need;       /* bytes of the body still to come (hello) */
  long sent;       /* bytes of the request that have left */
  int head_length; /* of a response's head, gathered until it is whole */
  char head[4096];
  uint64_t asked, last, first, leaves; /* leaves: when its client goes (soak) */
} Peer;

static Peer peers[MOST];
static char request[1 << 23], buffer[1 << 18];
static int request_length, poll_fd, port;
static long upload; /* bytes of a body that are not in `request` */
static uint32_t histogram[BUCKETS + 1];
static uint64_t samples, events, bytes, sent, requests, broken, refused, firsts[1 << 20];
static int first_count;

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static uint64_t cpu(void) {
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000ull + u.ru_utime.tv_usec + u.ru_stime.tv_usec;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void sample(uint64_t us) {
  samples++;
  histogram[us / 10 < BUCKETS ? us / 10 : BUCKETS]++;
}

static double percentile(double share) {
  uint64_t wanted = (uint64_t)(share * samples), seen = 0;
  for (int i = 0; i <= BUCKETS; i++)
    if ((seen += histogram[i]) > wanted) return i * 10.0 + 5;
  return 0;
}

static int ascending(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

static char *read_file(const char *path) {
  static char text[sizeof request - 4096];
  FILE *file = fopen(path, "r");
  if (!file) fail(path);
  text[fread(text, 1, sizeof text - 1, file)] = 0;
  fclose(file);
  return text;
}

static void build_request(const char *path, const char *json) {
  if (json && *json == '@') json = read_file(json + 1);
  if (upload)
    request_length = snprintf(request, sizeof request,
                              "PUT %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/octet-stream\r\n"
                              "Content-Length: %ld\r\n\r\n", path, port, upload);
  else if (json)
    request_length = snprintf(request, sizeof request,
                              "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
                              "Content-Length: %zu\r\n\r\n%s", path, port, strlen(json), json);
  else
    request_length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", path, port);
}

static void expect(Peer *p, int events) {
  struct epoll_event e = {.events = events, .data.ptr = p};
  epoll_ctl(poll_fd, EPOLL_CTL_MOD, p->fd, &e);
}

/* What the socket takes of the request; the rest when it takes more. */
static void push(Peer *p) {
  static char block[1 << 18];
  long all = request_length + upload;
  while (p->sent < all) {
    long left = all - p->sent;
    const char *from = p->sent < request_length ? request + p->sent : block;
    if (p->sent < request_length) left = request_length - p->sent;
    else if (left > (long)sizeof block) left = sizeof block;
    long size = write(p->fd, from, left);
    if (size < 0) {
      if (errno == EAGAIN) return expect(p, EPOLLIN | EPOLLOUT);
      return; /* its end is read */
    }
    p->sent += size;
    sent += size;
  }
}

static void ask(Peer *p) {
  p->head_length = p->in_body = p->newline = p->matched = 0;
  p->first = p->sent = 0;
  p->last = p->asked = now();
  push(p);
}

static void push_rest(Peer *p) {
  expect(p, EPOLLIN);
  push(p);
}

static void dial(Peer *p) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int one = 1;
  p->fd = socket(AF_INET, SOCK_STREAM, 0);
  if (p->fd < 0 || connect(p->fd, (struct sockaddr *)&to, sizeof to)) fail("connect");
  setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  fcntl(p->fd, F_SETFL, O_NONBLOCK);
  struct epoll_event e = {.events = EPOLLIN, .data.ptr = p};
  epoll_ctl(poll_fd, EPOLL_CTL_ADD, p->fd, &e);
}

static void hang_up(Peer *p) {
  close(p->fd);
  p->fd = -1;
}

/* Gathers a response's head; returns where the body begins in `data`, or -1 while the head is not whole. */
static int skip_head(Peer *p, const char *data, int size) {
  int room = (int)sizeof p->head - 1 - p->head_length, take = size < room ? size : room, before = p->head_length;
  memcpy(p->head + p->head_length, data, take);
  p->head_length += take;
  p->head[p->head_length] = 0;
  char *end = strstr(p->head, "\r\n\r\n");
  if (!end) return -1;
  if (!strncmp(p->head, "HTTP/", 5) && strncmp(p->head + 9, "200", 3)) {
    if (!refused++) fprintf(stderr, "refused: %.300s\n", p->head);
  }
  char *length = strcasestr(p->head, "\r\ncontent-length:");
  p->in_body = 1;
  p->need = length && length < end ? atol(length + 17) : strcasestr(p->head, "\r\ntransfer-encoding:") ? -1 : 0;
  return (int)(end + 4 - p->head) - before;
}

/* A whole message? Bodies without a length end with the last chunk, "\r\n0\r\n\r\n", possibly split over two reads. */
static int whole(Peer *p, const char *data, int size) {
  static const char last[] = "\r\n0\r\n\r\n";
  if (p->need >= 0) return (p->need -= size) <= 0;
  if (size >= 7) p->matched = 0;
  for (int i = size > 7 ? size - 7 : 0; i < size; i++)
    p->matched = data[i] == last[p->matched] ? p->matched + 1 : data[i] == '\r';
  return p->matched == 7;
}

static void read_hello(Peer *p) {
  int size = read(p->fd, buffer, sizeof buffer), at = 0;
  if (size <= 0) {
    if (size < 0 && errno == EAGAIN) return;
    broken++;
    hang_up(p);
    dial(p);
    ask(p);
    return;
  }
  bytes += size;
  if (!p->in_body && (at = skip_head(p, buffer, size)) < 0) return;
  if (!whole(p, buffer + at, size - at)) return;
  requests++;
  sample(now() - p->asked);
  ask(p);
}

static int count_events(Peer *p, const char *data, int size) {
  int found = 0;
  for (const char *at = data, *end = data + size; at < end; at++) { /* "\n\n", possibly split over two reads */
    at = p->newline ? at : memchr(at, '\n', end - at);
    if (!at) break;
    if (p->newline && *at == '\n') {
      found++;
      p->newline = 0;
    } else
      p->newline = *at == '\n';
  }
  return found;
}

/* Returns 1 when the stream's first event has just come, -1 when the stream ended. */
static int read_stream(Peer *p) {
  int size = read(p->fd, buffer, sizeof buffer), at = 0;
  if (size <= 0) {
    if (size < 0 && errno == EAGAIN) return 0;
    hang_up(p);
    broken++;
    return -1;
  }
  bytes += size;
  if (!p->in_body && (at = skip_head(p, buffer, size)) < 0) return 0;
  int found = count_events(p, buffer + at, size - at);
  if (!found) return 0;
  uint64_t time = now();
  events += found;
  if (!p->first) {
    p->first = time;
    if (first_count < (int)(sizeof firsts / sizeof *firsts)) firsts[first_count++] = time - p->asked;
    p->last = time;
    return 1;
  }
  sample(time - p->last);
  for (int i = 1; i < found; i++) sample(0); /* came together */
  p->last = time;
  return 0;
}

static void forget(void) {
  memset(histogram, 0, sizeof histogram);
  samples = events = bytes = sent = requests = broken = refused = 0;
}

static void report(uint64_t elapsed, uint64_t used, int open) {
  qsort(firsts, first_count, sizeof *firsts, ascending);
  double f50 = first_count ? firsts[first_count / 2] : 0, f99 = first_count ? firsts[first_count * 99 / 100] : 0;
  printf("{\"elapsed_us\":%lu,\"cpu_us\":%lu,\"requests\":%lu,\"events\":%lu,\"bytes\":%lu,\"sent\":%lu,\"broken\":%lu,"
         "\"refused\":%lu,\"open\":%d,\"p50\":%.0f,\"p90\":%.0f,\"p99\":%.0f,\"first_p50\":%.0f,\"first_p99\":%.0f}\n",
         elapsed, used, requests, events, bytes, sent, broken, refused, open, percentile(.5), percentile(.9),
         percentile(.99), f50, f99);
  fflush(stdout);
}

static void say(const char *word) {
  puts(word);
  fflush(stdout);
}

static void run(int hello, int count, double warm, double seconds) {
  struct epoll_event ready[512];
  for (int i = 0; i < count; i++) dial(&peers[i]);
  for (int i = 0; i < count; i++) ask(&peers[i]);
  uint64_t begin = now() + warm * 1e6, patience = now() + PATIENCE, end = -1, used = 0, time;
  int begun = 0, open = count;
  while ((time = now()) < end && open) {
    if (!begun && time >= begin && (hello || first_count >= count || time > patience)) {
      begun = 1;
      forget();
      used = cpu();
      begin = time;
      end = begin + seconds * 1e6;
      say("begin");
    }
    int n = epoll_wait(poll_fd, ready, 512, 20);
    for (int i = 0; i < n; i++)
      if (ready[i].events & EPOLLOUT) push_rest(ready[i].data.ptr);
      else if (hello) read_hello(ready[i].data.ptr);
      else if (read_stream(ready[i].data.ptr) < 0) open--;
  }
  report(now() - begin, cpu() - used, open);
}

static void run_first(int count, int repeats) {
  struct epoll_event ready[512];
  uint64_t begin = now(), used = cpu();
  say("begin");
  for (int round = 0; round < repeats; round++) {
    int waiting = count;
    uint64_t limit = now() + 30000000;
    for (int i = 0; i < count; i++) dial(&peers[i]);
    for (int i = 0; i < count; i++) ask(&peers[i]);
    while (waiting && now() < limit) {
      int n = epoll_wait(poll_fd, ready, 512, 100);
      for (int i = 0; i < n; i++)
        if (ready[i].events & EPOLLOUT) push_rest(ready[i].data.ptr);
        else waiting -= read_stream(ready[i].data.ptr) != 0;
    }
    for (int i = 0; i < count; i++)
      if (peers[i].fd >= 0) hang_up(&peers[i]);
    usleep(count > 1 ? 300000 : 53000);
  }
  report(now() - begin, cpu() - used, 0);
}

/* When a stream begun now will be left: each moment is as likely as any other, MEAN seconds on average. */
static uint64_t leaving(double mean) { return now() - (uint64_t)(1e6 * mean * log1p(-drand48())); }

static void start_anew(Peer *p, double mean) {
  if (p->fd >= 0) hang_up(p);
  dial(p);
  ask(p);
  p->leaves = leaving(mean);
}

static void run_soak(int count, double mean, double seconds) {
  struct epoll_event ready[512];
  uint64_t begin = now(), end = begin + seconds * 1e6, held = 0, used = cpu(), left = 0, time;
  for (int i = 0; i < count; i++) peers[i].fd = -1, start_anew(&peers[i], mean);
  say("begin");
  while ((time = now()) < end || !held || time < held + HELD_S * 1000000) {
    int n = epoll_wait(poll_fd, ready, 512, 5), waiting = 0;
    for (int i = 0; i < n; i++)
      if (read_stream(ready[i].data.ptr) < 0) start_anew(ready[i].data.ptr, mean);
    for (int i = 0; i < count; i++) {
      if (time < end && time >= peers[i].leaves) left++, start_anew(&peers[i], mean);
      waiting += !peers[i].first;
    }
    if (time >= end && !held && (!waiting || time > end + PATIENCE)) {
      held = time;
      say("held");
    }
  }
  requests = left; /* what clients left half-way */
  report(now() - begin, cpu() - used, count);
}

/* The other side of a proxy. */

static int listening(void) {
  int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof at;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 4096)) fail("listen");
  getsockname(listener, (struct sockaddr *)&at, &size);
  printf("%d\n", ntohs(at.sin_port));
  fflush(stdout);
  return listener;
}

static int admitted(int listener) {
  int one = 1, peer = accept(listener, NULL, NULL);
  if (peer < 0) return peer;
  setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  fcntl(peer, F_SETFL, O_NONBLOCK);
  return peer;
}

/* The sink: what is uploaded is read and forgotten. */

static void serve_sink(void) {
  static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  struct epoll_event ready[64], e = {.events = EPOLLIN, .data.ptr = NULL};
  int listener = listening(), count = 0;
  epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, &e);
  for (;;) {
    int n = epoll_wait(poll_fd, ready, 64, -1);
    for (int i = 0; i < n; i++) {
      Peer *p = ready[i].data.ptr;
      if (!p) {
        int peer = admitted(listener);
        if (peer < 0 || count == MOST) continue;
        p = &peers[count++];
        memset(p, 0, sizeof *p);
        p->fd = peer;
        struct epoll_event more = {.events = EPOLLIN, .data.ptr = p};
        epoll_ctl(poll_fd, EPOLL_CTL_ADD, peer, &more);
        continue;
      }
      int size = read(p->fd, buffer, sizeof buffer), at = 0;
      if (size <= 0) {
        if (!size || errno != EAGAIN) close(p->fd);
        continue;
      }
      if (!p->in_body && (at = skip_head(p, buffer, size)) < 0) continue;
      if (!whole(p, buffer + at, size - at)) continue;
      p->head_length = p->in_body = p->matched = 0;
      if (write(p->fd, answer, sizeof answer - 1) < 0) close(p->fd);
    }
  }
}

/* The source: an endless stream of events. */

static void serve(double interval_ms) {
  static char sink[65536];
  static int open[MOST];
  static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
  int listener = listening(), timer = timerfd_create(CLOCK_MONOTONIC, 0), count = 0;
  long ns = interval_ms * 1e6;
  struct itimerspec every = {{ns / 1000000000, ns % 1000000000}, {ns / 1000000000, ns % 1000000000}};
  timerfd_settime(timer, 0, &every, NULL);
  struct epoll_event ready[512], e = {.events = EPOLLIN, .data.fd = listener}, t = {.events = EPOLLIN, .data.fd = timer};
  epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, &e);
  epoll_ctl(poll_fd, EPOLL_CTL_ADD, timer, &t);
  char chunk[128];
  const char *body = "data: {\"response\":\" word\"}\n\n";
  int length = sprintf(chunk, "%zx\r\n%s\r\n", strlen(body), body);
  for (;;) {
    int n = epoll_wait(poll_fd, ready, 512, -1);
    for (int i = 0; i < n; i++) {
      int fd = ready[i].data.fd;
      if (fd == listener) {
        int peer = admitted(listener);
        if (peer < 0) continue;
        struct epoll_event p = {.events = EPOLLIN, .data.fd = peer};
        epoll_ctl(poll_fd, EPOLL_CTL_ADD, peer, &p);
      } else if (fd == timer) {
        uint64_t ticks;
        if (read(timer, &ticks, 8) != 8) continue;
        for (int k = 0; k < count; k++)
          if (write(open[k], chunk, length) < 0) continue;
      } else {
        int got = read(fd, sink, sizeof sink), k = 0;
        while (k < count && open[k] != fd) k++;
        if (got > 0 && k == count && count < MOST) {
          if (write(fd, head, sizeof head - 1) > 0) open[count++] = fd;
        } else if (got <= 0) {
          if (k < count) open[k] = open[--count];
          close(fd);
        }
      }
    }
  }
}

int main(int argc, char **argv) {
  struct rlimit files;
  signal(SIGPIPE, SIG_IGN);
  if (!getrlimit(RLIMIT_NOFILE, &files)) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  poll_fd = epoll_create1(0);
  if (argc < 4) return 2;
  port = atoi(argv[2]);
  if (!strcmp(argv[1], "source")) serve(atof(argv[3]));
  if (!strcmp(argv[1], "sink")) serve_sink();
  int first = !strcmp(argv[1], "first"), count = argc > 4 ? atoi(argv[4]) : 0, json = first ? 6 : 7;
  if (argc < json || count < 1 || count > MOST) return 2;
  int uploads = !strcmp(argv[1], "upload");
  if (uploads && argc <= json) return 2;
  if (uploads) upload = atol(argv[json]);
  build_request(argv[3], argc > json ? argv[json] : NULL);
  if (first) run_first(count, atoi(argv[5]));
  else if (!strcmp(argv[1], "soak")) run_soak(count, atof(argv[5]), atof(argv[6]));
  else run(uploads || !strcmp(argv[1], "hello"), count, atof(argv[5]), atof(argv[6]));
  return 0;
}
