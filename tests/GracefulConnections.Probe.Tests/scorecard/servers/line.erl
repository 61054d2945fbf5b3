-module(line).
-export([main/1]).

main([Port]) ->
    {ok, Listener} = gen_tcp:listen(list_to_integer(Port),
        [binary, {packet, line}, {active, false}, {reuseaddr, true}, {ip, {127,0,0,1}}, {backlog, 128}]),
    accept(Listener).

accept(Listener) ->
    {ok, Socket} = gen_tcp:accept(Listener),
    Pid = spawn(fun() -> receive go -> serve(Socket) end end),
    ok = gen_tcp:controlling_process(Socket, Pid),
    Pid ! go,
    accept(Listener).

serve(Socket) ->
    case gen_tcp:recv(Socket, 0) of
        {ok, <<"quit", _/binary>>} -> gen_tcp:close(Socket);
        {ok, Line} -> gen_tcp:send(Socket, Line), serve(Socket);
        {error, _} -> gen_tcp:close(Socket)
    end.
