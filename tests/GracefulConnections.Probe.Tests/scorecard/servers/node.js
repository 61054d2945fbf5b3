const net = require('net');
const readline = require('readline');

net.createServer(socket => {
  socket.on('error', () => {});
  readline.createInterface({ input: socket }).on('line', line => {
    if (line === 'quit') socket.end();
    else if (socket.writable) socket.write(line + '\n');
  });
}).listen(process.argv[2], '127.0.0.1');
