import java.io.*;
import java.net.*;

class Line {
    public static void main(String[] args) throws IOException {
        var listener = new ServerSocket(Integer.parseInt(args[0]), 128, InetAddress.getLoopbackAddress());
        while (true) {
            var socket = listener.accept();
            new Thread(() -> serve(socket)).start();
        }
    }

    static void serve(Socket socket) {
        try (socket) {
            var lines = new BufferedReader(new InputStreamReader(socket.getInputStream()));
            var out = new PrintWriter(socket.getOutputStream(), true);
            for (String line; (line = lines.readLine()) != null && !line.equals("quit"); ) out.println(line);
        } catch (IOException e) {
            System.err.println(e);
        }
    }
}
