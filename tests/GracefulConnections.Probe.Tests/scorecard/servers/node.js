const net = require('net');
const readline = require('readline');

net.createServer(socket => {
  const lines = readline.createInterface({ input: socket });
  socket.on('error', () => {});
  lines.on('error', () => {});
  lines.on('line', line => {
    if (line === 'quit') socket.end();
    else if (socket.writable) socket.write(line + '\n');
  });
}).listen(process.argv[2], '127.0.0.1');
