# A pipeline, background jobs, a job killed, and subshells whose parents die first.
set -m
seq 1 20 | grep 1 | wc -l
sleep 0.05 & first=$!
sleep 5 & second=$!
(exit 3) & third=$!
wait "$first"
kill "$second"
wait "$second"
wait "$third"
kill -0 "$second"
# The middle shell goes at once; the shell it leaves behind asks for its parent.
(bash -c 'echo $PPID; sleep 0.1; exec bash -c "echo \$PPID"' &)
sleep 0.3
$(exit 1)
exit 4
