// Sockets of a server.
#pragma once
#include <cstdint>
#include <string>

#include "caprl/http/message.h"

namespace caprl {

/// A file descriptor, closed with its owner.
class OwnedFd {
 public:
  explicit OwnedFd(int fd = -1) : fd_(fd) {}
  ~OwnedFd();
  OwnedFd(OwnedFd&& other) noexcept : fd_(other.release()) {}
  OwnedFd& operator=(OwnedFd&& other) noexcept;
  int get() const { return fd_; }
  int release();

 private:
  int fd_;
};

struct HttpListener {
  OwnedFd socket;  // non-blocking
  int port = 0;
};

/// Listens on host and port, 0: any free one. Throws InputError.
HttpListener listen_on(const std::string& host, int64_t port);

/// "127.0.0.1:80", "[::1]:80"
std::string host_and_port(const std::string& host, int64_t port);

/// Raises this process's limit of open files so that there may be so many connections. Throws
/// InputError if the system does not let it.
void allow_connections(int64_t count);

/// Writes an answer to a socket by itself, as far as it can be written without waiting, and ends
/// the sending side.
void send_last_answer(int socket, const HttpResponse& response);

/// Bytes that a socket has received since it was opened.
uint64_t bytes_received(int socket);

}  // namespace caprl
