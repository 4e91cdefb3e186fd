#!/bin/bash
# Copies checkpoints to a real sshd of this machine's own and goes on from there (the argument is the binary).
# Where sshd and rsync are not there and cannot be installed it says so in one line and succeeds.
# The sshd listens at loopback with keys made here, and lets in the user of this script alone.
set -euo pipefail
cd "$(dirname "$0")/../.."
opd=$(realpath "$1")
missing=()
[ -x /usr/sbin/sshd ] || missing+=(openssh-server)
command -v ssh >/dev/null || missing+=(openssh-client)
command -v rsync >/dev/null || missing+=(rsync)
if [ ${#missing[@]} -ne 0 ] && ! scripts/apt.sh "${missing[@]}" >/dev/null 2>&1; then
    echo "${missing[*]} cannot be installed: copies over ssh are not tested" >&2
    exit 0
fi

folder=$(mktemp -d)
sshd=
finish() {
    [ -z "$sshd" ] || kill "$sshd" 2>/dev/null || true
    rm -rf "$folder"
}
trap finish EXIT
# sshd's privilege separation wants this folder, which a service would have made.
[ -d /run/sshd ] || [ "$(id -u)" -ne 0 ] || mkdir -p /run/sshd

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
ssh-keygen -q -t ed25519 -N '' -f "$folder/host"
ssh-keygen -q -t ed25519 -N '' -f "$folder/user"
cp "$folder/user.pub" "$folder/authorized"
printf '[127.0.0.1]:%s %s\n' "$port" "$(cut -d ' ' -f 1,2 "$folder/host.pub")" >"$folder/known"
cat >"$folder/sshd_config" <<END
ListenAddress 127.0.0.1
Port $port
HostKey $folder/host
AuthorizedKeysFile $folder/authorized
PasswordAuthentication no
StrictModes no
UsePAM no
PidFile none
Subsystem sftp internal-sftp
END
/usr/sbin/sshd -D -f "$folder/sshd_config" -E "$folder/sshd.log" &
sshd=$!

# What the user's own configuration of ssh would say, said by a program of that name.
mkdir "$folder/with" "$folder/without"
cat >"$folder/with/ssh" <<END
#!/bin/sh
exec $(command -v ssh) -F none -i $folder/user -o UserKnownHostsFile=$folder/known "\$@"
END
chmod +x "$folder/with/ssh"
cp "$folder/with/ssh" "$folder/without/ssh"
# An rsync that does not run is none: then sftp is used.
printf '#!/bin/sh\nexit 1\n' >"$folder/without/rsync"
chmod +x "$folder/without/rsync"

for attempt in $(seq 100); do
    "$folder/with/ssh" -p "$port" -o BatchMode=yes 127.0.0.1 true 2>/dev/null && break
    [ "$attempt" -lt 100 ] || { cat "$folder/sshd.log" >&2; exit 1; }
    sleep 0.1
done
python3 scripts/stores/ssh.py "$opd" "$folder" "$port" "$sshd"
