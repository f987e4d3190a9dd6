"""HTTP/1.1 on a connection, without a framework: for doors whose answers are short and many."""
