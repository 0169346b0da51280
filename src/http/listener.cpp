#include "listener.h"

#include <linux/tcp.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "caprl/core/error.h"

namespace caprl {
namespace {

constexpr rlim_t kOtherFiles = 256;  // what the process has open besides connections, generously

using Addresses = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

Addresses find_addresses(const std::string& host, int64_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (error != 0)
    throw InputError("host: expected a name or an address of this machine, got \"{}\" ({})", host,
                     ::gai_strerror(error));
  return {found, &::freeaddrinfo};
}

int port_of(int socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    throw Error("the port of a listening socket cannot be read: {}", std::strerror(errno));
  return ntohs(address.ss_family == AF_INET6
                   ? reinterpret_cast<const sockaddr_in6&>(address).sin6_port
                   : reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

[[noreturn]] void fail_to_listen(const std::string& host, int64_t port, int error) {
  const std::string place = host_and_port(host, port);
  if (error == EADDRINUSE)
    throw InputError(
        "port: expected one that is free, got {}, which another program is listening on", place);
  if (error == EADDRNOTAVAIL)
    throw InputError("host: expected an address of this machine, got {}", host);
  throw InputError("host and port: {} cannot be listened on: {}", place, std::strerror(error));
}

}  // namespace

OwnedFd::~OwnedFd() {
  if (fd_ >= 0) ::close(fd_);
}

OwnedFd& OwnedFd::operator=(OwnedFd&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

int OwnedFd::release() { return std::exchange(fd_, -1); }

std::string host_and_port(const std::string& host, int64_t port) {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port)
                                             : fmt::format("[{}]:{}", host, port);
}

HttpListener listen_on(const std::string& host, int64_t port) {
  const Addresses addresses = find_addresses(host, port);
  OwnedFd socket(::socket(addresses->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int on = 1;
  if (socket.get() < 0 ||
      ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
      ::bind(socket.get(), addresses->ai_addr, addresses->ai_addrlen) != 0 ||
      ::listen(socket.get(), SOMAXCONN) != 0)
    fail_to_listen(host, port, errno);
  const int actual = port_of(socket.get());
  return {std::move(socket), actual};
}

void allow_connections(int64_t count) {
  const rlim_t needed = static_cast<rlim_t>(count) + kOtherFiles;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= needed) return;
  if (limit.rlim_max < needed)
    throw InputError(
        "max_connections: expected at most {}, since this process may have {} open files (ulimit "
        "-Hn), got {}",
        limit.rlim_max > kOtherFiles ? limit.rlim_max - kOtherFiles : 0, limit.rlim_max, count);
  limit.rlim_cur = needed;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0)
    throw Error("the limit of open files cannot be raised to {}: {}", needed, std::strerror(errno));
}

void send_last_answer(int socket, const HttpResponse& response) {
  std::string text = fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n",
      response.status, MHD_get_reason_phrase_for(static_cast<unsigned>(response.status)),
      response.content_type, response.body.size());
  for (const auto& [name, value] : response.headers) text += name + ": " + value + "\r\n";
  text += "\r\n" + response.body;
  // A refusal fits into the socket's buffer, unless the client does not read: its own loss.
  (void)::send(socket, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  ::shutdown(socket, SHUT_WR);
}

uint64_t bytes_received(int socket) {
  tcp_info info{};
  socklen_t size = sizeof(info);
  if (::getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return 0;
  return info.tcpi_bytes_received;
}

}  // namespace caprl
