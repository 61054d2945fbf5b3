package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
)

func serve(connection net.Conn) {
	defer connection.Close()
	lines := bufio.NewScanner(connection)
	for lines.Scan() && lines.Text() != "quit" {
		fmt.Fprintln(connection, lines.Text())
	}
}

func main() {
	listener, _ := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	for {
		connection, _ := listener.Accept()
		go serve(connection)
	}
}
