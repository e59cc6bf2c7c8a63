# A tree that does not want to end: it ignores what can be ignored, leaves its session, its
# parent and its environment, and forks all the time. Each kind of process says its name on
# standard error again and again.
trap '' TERM INT HUP
case "$1" in
tick)
    while :; do
        echo "$2" >&2
        sleep 0.02
    done
    ;;
fork)
    while :; do
        (sleep 0.05 &)
        echo forker >&2
        sleep 0.005
    done
    ;;
*)
    sh "$0" tick child &
    setsid sh "$0" tick session &
    (setsid sh "$0" tick daemon &)
    (env -i setsid sh "$0" tick scrubbed &)
    sh "$0" fork &
    sh "$0" tick leader
    ;;
esac
