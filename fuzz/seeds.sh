#!/usr/bin/env bash
# Where the fuzzer starts: writes the vectors, the samples and the documents' examples as inputs into
# fuzz/corpus/TARGET/seed-NAME. `./test fuzz` runs it, so that a new vector is a new seed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seed() { # seed TARGET NAME < OCTETS
  mkdir -p "fuzz/corpus/$1"
  cat >"fuzz/corpus/$1/seed-$2"
}

octets() { # octets HEX...; ab*3 stands for ababab
  local word text= escaped= i
  for word in "$@"; do
    case $word in
      *\**) for ((i = 0; i < ${word#*\*}; i++)); do text+=${word%\**}; done ;;
      *) text+=$word ;;
    esac
  done
  for ((i = 0; i < ${#text}; i += 2)); do escaped+="\\x${text:i:2}"; done
  # shellcheck disable=SC2059 # the escapes are meant
  printf "$escaped"
}

lines() { grep -Ev '^ *(#|$)' "$1"; } # lines FILE: without comments
datagram() { # datagram FLAGS HEX: as the targets of the doors read it
  octets "$(printf '%04x%02x' $((${#2} / 2)) "$1")" "$2"
}

# RADIUS: whole packets, good and bad, and the same as datagrams: as they are, signed, signed and finished, twice.
while read -r name packet; do
  octets "$packet" | seed radius_packet "$name"
  { datagram 0 "$packet"; datagram 1 "$packet"; datagram 1 "$packet"; } | seed radius_door "$name"
  { datagram 3 "$packet"; datagram 1 "$packet"; } | seed radius_door "$name-finished"
done < <(lines tests/vectors/radius.txt)
while read -r name _ packet; do
  # shellcheck disable=SC2086 # a list of words on purpose
  octets $packet | seed radius_packet "bad-$name"
done < <(lines tests/vectors/radius-bad-packets.txt)
# the end of the session s-17 of nemo, with counters
stop=04030038$(printf '00%.0s' {1..16})28060000000201066e656d6f2c06732d31372a06000001002b0600000005350600000002
for flags in 1 3 5; do
  { datagram $flags "$stop"; datagram $flags "$stop"; } | seed radius_accounting "stop-$flags"
done

# LDAP: requests and answers, and what is no message.
number=0
while IFS= read -r line; do
  number=$((number + 1))
  # shellcheck disable=SC2086 # a list of words on purpose
  { octets ff; octets ${line%%=>*}; } | seed ldap_frame "bad-$number"
done < <(lines tests/vectors/bad-ldap-frames.txt)
octets ff 300c020101600702010304008000 | seed ldap_frame bind
octets ff 3025020102632004000a01020a0100020100020100010100870b6f626a656374436c6173733000 | seed ldap_frame search
octets 300c02010761070a010004000400 | seed ldap_answer yes
octets 301f020107611a0a01310400041338303039303330383a2064617461203533322c | seed ldap_answer password_expired
octets 301f020107641a0402636e301430120402636e310c04016104076d656d62657231 | seed ldap_answer entry
text=('(&(objectCategory=person)(!(cn=a\2ab*c*)))' '(|(a>=1)(b<=2)(c~=3)(d=*))' '(memberOf:1.2.840.113556.1.4.1941:=CN=x,DC=y)'
  '(:dn:2.4.6:=x)' 'CORP\alice' 'alice@corp' 'DC=corp,DC=example,DC=com' '00112233-4455-6677-8899-aabbccddeeff'
  '80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data 52e, v4563')
for i in "${!text[@]}"; do printf %s "${text[i]}" | seed ldap_text "$i"; done

# The configuration: the samples, and each of its lines that name an attribute.
for file in conf/*.toml; do
  lines "$file" | seed configuration "$(basename "$file")"
done
sed 's/^\( *[a-z_]*\)_file = .*/\1_env = "ANTEROOM_SECRET"/' conf/minimal.toml | lines /dev/stdin | seed configuration accepted
line=('Filter-Id = "staff"' 'Service-Type = Framed-User' 'Tunnel-Type:1 = VLAN' 'Tunnel-Private-Group-Id:1 = 120'
  'Class = 0x0a1b' 'Framed-IP-Address = 192.0.2.7' 'Session-Timeout = 28800' 'Calling-Station-Id' 'Cisco-AVPair = "a=b"')
for i in "${!line[@]}"; do printf %s "${line[i]}" | seed radius_dictionary "$i"; done

# The native protocol: an answer and an event for each state, and the header of the documentation.
about='"id":"v1","idempotency_key":"070707070707070707070707","server":"one"'
result='"result":{"approved":true,"method":"push","at":1767225600}'
for state in pending denied fraud expired undeliverable needs_code; do
  printf '{%s,"state":"%s"}\n' "$about" "$state" | seed native_message "$state"
done
printf '{%s,"state":"approved",%s}\n' "$about" "$result" | seed native_message approved
{
  echo '{"event":"hello","cursor":"c-17","resumed":true}'
  printf '{"event":"verification","cursor":"c-18","verification":{%s,"state":"pending"}}\n' "$about"
  printf '{"event":"verification","cursor":"c-19","verification":{%s,"state":"approved",%s}}\n' "$about" "$result"
} | seed native_message events
echo '{"prompt_sent":true,"time":1767225600}' | seed native_message trouble
grep -ohE 'Anteroom-HMAC-SHA256 key=[a-z0-9,=-]+' docs/native-protocol.md | grep -v KEYID | head -1 | tr -d '\n' |
  seed native_signature documentation
printf 000102030405060708090a0b | seed native_signature key

# Files of people and tokens, one of each kind.
printf 'unique_id,name,phone\nid-1,alice,"(202) 555-0111 x7"\n' | seed import_files people
printf 'Username;First Name;Country Code;Phone;Method\nbob@corp.example;Bob;1;2025550102;Phone Call\n' | seed import_files old-server
printf 'upn,serial number,secret key,time interval,manufacturer,model\na@b,1,JBSWY3DPEHPK3PXP,30,x,y\n' | seed import_files tokens
printf 'otpauth://totp/Corp:alice?secret=JBSWY3DPEHPK3PXP&issuer=Corp&period=60&digits=8\n' | seed import_files otpauth
sed -n '/^const PLAIN/,/^<\/pskc:KeyContainer>/p' src/import/pskc/tests.rs | sed '1s/.*r#"//; $s/"#;$//' | seed import_files pskc
octets 0402434e30263018040a6f626a65637447554944310a040830303030303030303010040a73414d31020400 | seed import_entry entry
octets 300d020207d00407706167652d3137 | seed import_entry cookie
