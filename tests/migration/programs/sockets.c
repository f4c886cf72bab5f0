// Sockets at home: a pair, options, and a descriptor of a file here sent through it.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "probe.h"

static long Send(int socket, int fd) {
  char byte = 'F', control[CMSG_SPACE(sizeof fd)] = "";
  struct iovec part = {&byte, 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(header), &fd, sizeof fd);
  return sendmsg(socket, &message, 0);
}

static int Receive(int socket) {
  char byte, control[CMSG_SPACE(sizeof(int))] = "";
  struct iovec part = {&byte, 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  int fd = -1;
  REQUIRE(recvmsg(socket, &message, 0) == 1);
  const struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header != NULL && header->cmsg_type == SCM_RIGHTS) memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return fd;
}

void Program(void) {
  int ends[2], type = 0;
  char buffer[64] = "";
  WriteFile("file", "sent away");
  SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
  SHOW(send(ends[0], "hello", 5, 0));
  MovePoint();
  SHOW(recv(ends[1], buffer, sizeof buffer, 0));
  ShowBytes("received", buffer, 5);
  socklen_t length = sizeof type;
  SHOW(getsockopt(ends[0], SOL_SOCKET, SO_TYPE, &type, &length));
  Say("type %d", type);
  SHOW(recv(ends[0], buffer, sizeof buffer, MSG_DONTWAIT));
  struct sockaddr_un address;
  length = sizeof address;
  SHOW(getsockname(ends[0], (struct sockaddr*)&address, &length));
  Say("family %d", address.sun_family);
  const int fd = (int)SHOW(open("file", O_RDONLY));
  SHOW(read(fd, buffer, 2));
  SHOW(Send(ends[0], fd));
  SHOW(close(fd));
  MovePoint();
  const int received = Receive(ends[1]);
  SHOW(received);
  SHOW(read(received, buffer, sizeof buffer));
  ShowBytes("the rest", buffer, 7);
  SHOW(close(received));
  SHOW(shutdown(ends[0], SHUT_WR));
  SHOW(recv(ends[1], buffer, sizeof buffer, 0));
  SHOW(close(ends[0]));
  SHOW(close(ends[1]));
  SHOW(unlink("file"));
}
