"""Every command of python-openstackclient for the Network API, in an order in which each has what it needs.

A line is a command; after `=>`, what its answer must say: `column=value` of the resource shown, or of any row of a \
list
(`column!=value`: of none); `@name` keeps the id of what was shown for `{name}` in later lines. After `!!` comes \
what a
command that fails says. Words with spaces are quoted as in a shell.
"""

from __future__ import annotations

from typing import Final

# The client says nothing of what it deletes, sets, adds or removes: what it did is seen by the commands after it.
COMMANDS: Final = """
address group create --description far --address 192.0.2.0/24 ag => name=ag addresses=['192.0.2.0/24'] @ag
address group set --name ag2 --address 198.51.100.7 ag
address group unset --address 192.0.2.0/24 ag2
address group show ag2 => addresses=['198.51.100.7/32'] description=far
address group list --name ag2 => Name=ag2
address scope create --ip-version 4 --share as => name=as ip_version=4 shared=True @as
address scope set --name as2 as
address scope show as2 => name=as2
address scope list --ip-version 4 => Name=as2

network create --mtu 1400 --dns-domain a.example. --tag red --description d --provider-network-type vxlan n => \
name=n mtu=1400 @n
network set --name n2 --description e --tag blue --disable n
network set --enable --disable-port-security n2
network unset --tag red n2
network show n2 => description=e tags=['blue'] port_security_enabled=False
network set --enable-port-security n2
network list --long --tags blue --internal => Name=n2 Name!=out
network create --external --default out => router:external=True is_default=True @out
network list --external => Name=out Name!=n2

subnet pool create --pool-prefix 10.64.0.0/16 --default-prefix-length 24 --default --share --tag a sp => name=sp \
default_prefixlen=24 is_default=True @sp
subnet pool set --pool-prefix 10.65.0.0/16 --default-quota 4096 --description d --address-scope as2 --tag b sp
subnet pool unset --tag a sp
subnet pool show sp => default_quota=4096 tags=['b'] description=d
subnet pool list --long --default => Name=sp

subnet create --network out --subnet-range 203.0.113.0/24 outside => cidr=203.0.113.0/24
subnet create --network n2 --subnet-range 10.70.0.0/24 --allocation-pool start=10.70.0.10,end=10.70.0.200 \
--dns-nameserver 192.0.2.53 --host-route destination=10.9.0.0/16,gateway=10.70.0.254 --tag t s => \
gateway_ip=10.70.0.1 @s
subnet create --network n2 --use-default-subnet-pool --prefix-length 26 pooled !! "same subnet pool"
subnet create --network n2 --ip-version 6 --subnet-range 2001:db8::/64 --ipv6-ra-mode slaac --ipv6-address-mode \
slaac s6 => ipv6_ra_mode=slaac
subnet set --name s2 --dns-nameserver 192.0.2.54 --no-dhcp s
subnet set --dhcp --tag u s2
subnet unset --dns-nameserver 192.0.2.53 --host-route destination=10.9.0.0/16,gateway=10.70.0.254 --tag t s2
subnet show s2 => dns_nameservers=['192.0.2.54'] host_routes=[] tags=['u'] enable_dhcp=True
subnet list --network n2 --ip-version 6 => Name=s6 Name!=s2
subnet create --network n2 --subnet-range 10.70.0.128/25 x !! "overlaps with another subnet"
subnet create --network n2 --subnet-range 10.71.0.0/24 --gateway 10.71.0.255 x !! "Gateway is not valid on subnet"
subnet create --network n2 --subnet-range 10.71.0.0/24 --allocation-pool start=10.72.0.2,end=10.72.0.9 x !! 10.72.0.2
subnet create --network n2 --subnet-range 10.71.0.0/33 x !! 10.71.0.0/33
subnet create --network n2 --subnet-range 10.71.0.0/30 --no-dhcp tight => cidr=10.71.0.0/30

security group create --stateful --description d --tag a sg => name=sg stateful=True @sg
security group set --name sg2 --tag b sg
security group unset --tag a sg2
security group show sg2 => tags=['b']
security group list --tags b => Name=sg2
security group rule create --protocol tcp --dst-port 22:23 --remote-ip 192.0.2.0/24 sg2 => port_range_max=23 \
protocol=tcp @rule
security group rule create --protocol tcp --remote-address-group ag2 sg2 => remote_address_group_id={ag}
security group rule show {rule} => port_range_min=22
security group rule list --long sg2 => "Port Range=22:23"
security group rule delete {rule}
security group rule list sg2 => "Port Range!=22:23"
default security group rule create --protocol udp --dst-port 53 --for-custom-sg => protocol=udp \
used_in_non_default_sg=True @default_rule
default security group rule show {default_rule} => port_range_min=53
default security group rule list --protocol udp => ID={default_rule}
default security group rule delete {default_rule}

network qos policy create --description d --share slow => name=slow shared=True @policy
network qos policy set --name slow2 --no-share slow
network qos policy show slow2 => shared=False
network qos policy list => Name=slow2
network qos rule create --type bandwidth-limit --max-kbps 1000 --egress slow2 => max_kbps=1000 @limit
network qos rule set --max-kbps 2000 slow2 {limit}
network qos rule show slow2 {limit} => max_kbps=2000
network qos rule list slow2 => "Max Kbps=2000"
network qos rule type list => Type=bandwidth_limit
network qos rule type show bandwidth_limit => rule_type_name=bandwidth_limit

port create --network n2 --fixed-ip subnet=s2,ip-address=10.70.0.20 --security-group sg2 --qos-policy slow2 \
--extra-dhcp-option name=mtu,value=1300 --tag a p => name=p @p
port set --name p2 --description d --allowed-address ip-address=10.70.0.99,mac-address=fa:16:3e:00:00:99 --tag b p
port unset --qos-policy --allowed-address ip-address=10.70.0.99,mac-address=fa:16:3e:00:00:99 --tag a p2
port show p2 => description=d tags=['b'] qos_policy_id=None allowed_address_pairs=[]
port list --network n2 --fixed-ip ip-address=10.70.0.20 => Name=p2
port create --network n2 --fixed-ip subnet=s2,ip-address=10.70.0.20 x !! "10.70.0.20 already allocated"
port create --network n2 --fixed-ip subnet=s2,ip-address=10.80.0.20 x !! 10.80.0.20
port create --network 11111111-1111-4111-8111-111111111111 x !! "No Network found"
port create --network n2 --fixed-ip subnet=tight t => status=DOWN
port create --network n2 --fixed-ip subnet=tight x !! "1 wanted, 0 of 1 are free"
port delete t
subnet delete tight
ip availability list => "Network Name=n2"
ip availability show n2 => network_name=n2

router create --description d --tag a r => name=r @r
router set --name r2 --external-gateway out --tag b r
router unset --tag a r2
router show r2 => tags=['b']
router list --long => Name=r2
router add subnet r2 s2
port create --network n2 --fixed-ip subnet=s6 q => name=q @q
router add port r2 q
router remove port r2 q
router add subnet r2 s2 !! "already has a port on subnet"
router add route --route destination=10.98.0.0/16,gateway=10.99.0.30 r2 !! 10.99.0.30
router add route --route destination=10.98.0.0/16,gateway=10.70.0.30 r2 => name=r2
router remove route --route destination=10.98.0.0/16,gateway=10.70.0.30 r2 => name=r2

floating ip create --description d --tag a out => description=d @fip
floating ip set --port p2 --description e --tag b {fip}
floating ip show {fip} => description=e port_id={p}
floating ip list --network out --long => ID={fip}
floating ip unset --port --tag a {fip}
floating ip show {fip} => port_id=None tags=['b']
floating ip port forwarding create --internal-ip-address 10.70.0.20 --port p2 --internal-protocol-port 22 \
--external-protocol-port 2222 --protocol tcp {fip} => external_port=2222 @forwarding
floating ip port forwarding set --external-protocol-port 2022 {fip} {forwarding}
floating ip port forwarding show {fip} {forwarding} => external_port=2022
floating ip port forwarding list {fip} => ID={forwarding}
floating ip port forwarding delete {fip} {forwarding}
floating ip create --port p2 --floating-ip-address 10.80.0.20 out !! 10.80.0.20
floating ip delete {fip}

network rbac create --type network --action access_as_shared --target-project admin n2 => action=access_as_shared \
@rbac
network rbac set --target-project admin {rbac}
network rbac show {rbac} => object_id={n}
network rbac list --long --type network => "Object ID={n}"
network rbac delete {rbac}

network agent list --long => "Alive=True" @agent
network agent show {agent} => alive=True
router create --centralized --external-gateway out c => distributed=False
network agent add router --l3 {agent} c
network agent remove router --l3 {agent} c
router delete c
network segment list --long --network n2 => Network={n} @segment
network segment show {segment} => network_id={n}
network service provider list
network auto allocated topology create => id!={n} @auto
network auto allocated topology delete

router delete r2 !! "still has ports"
network delete n2 !! "still in use"
router remove subnet r2 s2
router delete r2
port delete p2
subnet delete s2 s6
network delete n2 out
subnet pool delete sp
network qos rule delete slow2 {limit}
network qos rule create --type dscp-marking --dscp-mark 26 slow2 !! "DSCP marking rule is not supported"
network qos policy delete slow2
security group delete sg2
address group delete ag2
address scope delete as2
"""

# Answered with 501, or refused by the client itself: the extension, which the complaint and docs/api-support.md name,
# and the commands.
NOT_BUILT: Final = {
    "trunk": """
network subport list --trunk x
network trunk create --parent-port p3 x
network trunk delete x
network trunk list
network trunk set --name y x
network trunk show x
network trunk subport add x p3
network trunk subport list x
network trunk subport remove x p3
network trunk unset --subport p3 x
""",
    "network-segment-range": """
network segment range create --network-type vxlan --minimum 5 --maximum 6 x
network segment range delete x
network segment range list
network segment range set --name y x
network segment range show x
""",
    "flavors": """
network flavor add profile x y
network flavor create --service-type L3_ROUTER_NAT x
network flavor delete x
network flavor list
network flavor profile create --driver x
network flavor profile delete x
network flavor profile list
network flavor profile set --description y x
network flavor profile show x
network flavor remove profile x y
network flavor set --name y x
network flavor show x
""",
    "metering": """
network meter create x
network meter delete x
network meter list
network meter rule create --remote-ip-prefix 10.0.0.0/8 x
network meter rule delete x
network meter rule list
network meter rule show x
network meter show x
""",
    "local_ip": """
local ip association create x p3
local ip association delete x p3
local ip association list x
local ip create --name x --network n3
local ip delete x
local ip list
local ip set --name y x
local ip show x
""",
    "l3-ndp-proxy": """
router ndp proxy create --port p3 r3
router ndp proxy delete x
router ndp proxy list
router ndp proxy set --name y x
router ndp proxy show x
""",
    "l3-conntrack-helper": """
network l3 conntrack helper create --helper tftp --protocol udp --port 69 r3
network l3 conntrack helper delete r3 x
network l3 conntrack helper list r3
network l3 conntrack helper set --port 70 r3 x
network l3 conntrack helper show r3 x
""",
    "security-groups-default-statefulness": """
security group default statefulness create --stateless
security group default statefulness delete x
security group default statefulness list
security group default statefulness set --stateful x
security group default statefulness show x
""",
    "subnet_onboard": """
network onboard subnet n3 sp3
subnet pool add network n3 sp3
""",
    "external-gateway-multihoming": """
router add gateway r3 n3
router remove gateway r3 n3
""",
    "agent": """
network agent add network --dhcp {agent} n3
network agent delete {agent}
network agent remove network --dhcp {agent} n3
network agent router set --ha-chassis-priority 1 {agent} r3
network agent set --description x {agent}
""",
    "segment": """
network segment create --network n3 --network-type vlan x
network segment delete {segment}
network segment set --name x {segment}
""",
}
