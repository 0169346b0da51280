#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include "caprl/core/error.h"
#include "dist/backend.h"

namespace caprl {
namespace {

using Addresses = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

Addresses resolve(const std::string& host, int port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found))
    throw Error("MASTER_ADDR: '{}' cannot be resolved: {}", host, gai_strerror(error));
  return {found, freeaddrinfo};
}

/// This machine's address on the network that leads to rank 0. The machine's own name, which Gloo
/// would look up, is often unknown in containers or another network's.
std::string address_towards(const std::string& host, int port) {
  const Addresses addresses = resolve(host, port);
  const int fd = socket(addresses->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_storage own{};
  socklen_t size = sizeof(own);
  // Connecting a datagram socket sends nothing; it chooses the route.
  const bool known = fd >= 0 && connect(fd, addresses->ai_addr, addresses->ai_addrlen) == 0 &&
                     getsockname(fd, reinterpret_cast<sockaddr*>(&own), &size) == 0;
  if (fd >= 0) close(fd);
  char text[NI_MAXHOST];
  if (!known || getnameinfo(reinterpret_cast<sockaddr*>(&own), size, text, sizeof(text), nullptr, 0,
                            NI_NUMERICHOST) != 0)
    throw Error("no network of this machine leads to rank 0 at {}:{}", host, port);
  return text;
}

}  // namespace

BackendPtr make_gloo(const StorePtr& store, const Launch& launch,
                     std::chrono::milliseconds timeout) {
  using Gloo = c10d::ProcessGroupGloo;
  auto options = Gloo::Options::create(timeout);
  const char* interface = std::getenv("GLOO_SOCKET_IFNAME");
  options->devices.push_back(interface ? Gloo::createDeviceForInterface(interface)
                                       : Gloo::createDeviceForHostname(address_towards(
                                             launch.master_addr, launch.master_port)));
  return c10::make_intrusive<Gloo>(c10::make_intrusive<c10d::PrefixStore>("gloo", store),
                                   launch.rank, launch.world_size, options);
}

}  // namespace caprl
