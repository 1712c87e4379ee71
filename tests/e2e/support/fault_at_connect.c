// For crash_test.py: preloaded into the daemon, it makes a connect() to the port FAULT_AT_PORT fault
// as a mistake of our own would, on the very thread that asks for it.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

typedef int (*Connect)(int, const struct sockaddr*, socklen_t);

int connect(int socket, const struct sockaddr* address, socklen_t octets) {
  const char* port = getenv("FAULT_AT_PORT");
  if (port != NULL && address->sa_family == AF_INET &&
      ntohs(((const struct sockaddr_in*)address)->sin_port) == atoi(port)) {
    *(volatile int*)16 = 1;
  }
  return ((Connect)dlsym(RTLD_NEXT, "connect"))(socket, address, octets);
}
