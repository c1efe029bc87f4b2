// Where processes of a test meet.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "passes/base/error.h"

namespace lathe::test {

// A port of this machine that nothing listens to.
inline int free_port() {
  const int listening = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  const bool bound = ::bind(listening, generic, size) == 0 &&
                     ::getsockname(listening, generic, &size) == 0;
  ::close(listening);
  if (!bound) throw_internal("test", "there is no free port");
  return ntohs(address.sin_port);
}

}  // namespace lathe::test
