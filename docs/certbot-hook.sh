#!/bin/sh
# /etc/letsencrypt/renewal-hooks/deploy/zs3: certbot runs it as root with each certificate that it got.
set -eu
directory=${ZS3_TLS:-/etc/zs3/tls} group=${ZS3_GROUP:-zs3-tls}
name=$(basename "$RENEWED_LINEAGE")
umask 077
install -d -m 750 -g "$group" "$directory"
# Key and certificate in one file, which takes the place of the old one at once. What begins with a dot is not looked at.
cat "$RENEWED_LINEAGE/privkey.pem" "$RENEWED_LINEAGE/fullchain.pem" >"$directory/.$name"
chgrp "$group" "$directory/.$name"
chmod 640 "$directory/.$name"
mv "$directory/.$name" "$directory/$name.pem"
